"""Slice models: slices as images, in a conversation. No torch is imported."""
