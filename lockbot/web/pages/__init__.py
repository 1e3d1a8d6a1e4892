"""What each page tells: a function from a View and the query to a Page, in a module named like its address."""
