"""Where changes come from: the source's queue, read in order, and its catalog in etcd."""
