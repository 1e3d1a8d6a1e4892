"""`lockbot requests`, and how runs publish by pull requests."""
