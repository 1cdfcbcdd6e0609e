"""One scan read by one model: generate, answer, rewrite, and the safety notes."""
