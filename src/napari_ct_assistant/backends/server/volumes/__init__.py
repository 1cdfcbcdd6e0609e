"""Volume models: encoded here, and sent as prompt embeddings."""
