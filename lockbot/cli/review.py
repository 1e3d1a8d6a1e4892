"""Commands for whoever reviews updates, and whoever pulls them."""
