"""The report of a run, and the picture of its result."""
