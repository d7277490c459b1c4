"""Chunks: programs over whole arrays, dask arrays with halos, and sharded arrays."""
