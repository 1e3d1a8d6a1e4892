"""What may go wrong goes wrong, and what must hold is looked at: `make faults`, some of it in `make test`.

`invariants.py` says what must hold, for every test of whole updates; `ground.py` is where it happens, `shim.c`
what stands between a program and its C library; `injections/` has a module for each kind of fault, `table.py` all
of them, and `__main__.py` runs them and prints the table of docs/reliability.md.
"""
