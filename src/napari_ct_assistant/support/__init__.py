"""What every floor may use: the base of all errors, and small helpers for files and processes."""
