"""Measurements beside the peers, in one run: `python -m benchmarks`, or `make bench`.

A topic is a module with a function ``rows(size)``. It runs in fresh processes and gives a `Row` for
each thing that it measured; `report` makes a table, a figure and the numbers of the pages of them.
"""
