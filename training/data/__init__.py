"""Training data: stores of prepared volumes, data sets, masks, caches."""
