"""Readers of the published data sets and of a hospital's own table.

Each reader turns one folder layout into `ScanRecord`s; `DatasetStore` prepares and serves them.
"""
