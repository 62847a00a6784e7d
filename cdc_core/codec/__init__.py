"""Wire formats: heads, append rewrite, etcd records."""
