"""One reading session: the loaded model, its jobs, and what was said so far."""
