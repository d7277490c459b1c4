"""From a YAML config to a finished target: one file for each thing that happens on the way."""
