"""Segmentation masks of a data set: find them, read them, turn them into patch labels."""
