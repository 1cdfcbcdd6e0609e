"""Questions and answers from reports, made by rules or by a language model."""
