"""What may move, and how far: the rules of each input, the facts that they need, and what they decide."""
