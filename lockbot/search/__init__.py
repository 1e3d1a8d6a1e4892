"""Which inputs can move, and how far, when not all of them can. It imports nothing else of lockbot's: whoever
answers (the `Oracle`) is handed in, and it can be read, tested and used alone."""
