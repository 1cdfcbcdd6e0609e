"""Reports as text: findings and their usual words, sentences, sections, negation."""
