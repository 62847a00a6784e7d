"""Who runs what, how far it is, and what the gates allow: the state in Redis."""
