"""The commands for whoever reviews updates, and whoever pulls them."""
