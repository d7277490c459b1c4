"""How each kind of cluster is started, connected to and closed."""
