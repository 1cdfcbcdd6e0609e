"""Training by several processes: batches, sharded weights, checkpoints for any number."""
