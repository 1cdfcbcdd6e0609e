"""Layers that encoders and language models share."""
