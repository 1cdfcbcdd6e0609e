"""The report tab: edit, rewrite, compare, sign off, export, keep in the journal."""
