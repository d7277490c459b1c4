"""The report of a run: numbers, figures and sections of one page."""
