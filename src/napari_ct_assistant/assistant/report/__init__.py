"""The report as the reader leaves it: document, template, comparison with the draft."""
