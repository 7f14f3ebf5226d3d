"""How a job runs, never what it computes: progress, the store of finished work, shards, GPUs, provenance."""
