"""The published data sets as they lie on disk, and a hospital's own table.

Each reader turns one layout into `ScanRecord`s; `DatasetStore` prepares and serves them.
"""
