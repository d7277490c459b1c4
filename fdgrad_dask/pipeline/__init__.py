"""From a YAML config to a finished target: seven rooms, and `run`, which leads through them."""
