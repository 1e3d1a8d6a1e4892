"""`python -m lockbot`."""

from lockbot.cli import main

main()
