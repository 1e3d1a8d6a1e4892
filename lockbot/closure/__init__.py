"""What differs between two closures, and what a switch from one to the other will do. Reads, and asks no tool."""
