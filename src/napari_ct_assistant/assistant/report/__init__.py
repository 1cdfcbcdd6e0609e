"""The report that a reader edits: document, template, comparison with the draft."""
