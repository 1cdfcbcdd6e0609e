"""From the last stage's folder to a model that is released, with its model card."""
