"""Segmentation masks of a data set: found, read, and turned into patch labels."""
