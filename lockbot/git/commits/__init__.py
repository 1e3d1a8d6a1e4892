"""Single commits of the user's repository: the one that a person names, and what it says of itself."""
