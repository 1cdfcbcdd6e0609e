"""From the last stage's folder to a model that ships, with its card."""
