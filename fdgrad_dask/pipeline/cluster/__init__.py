"""How each kind of cluster is opened: a function that gives a client, and closes all again."""
