"""The stages of training, one module each, and what they share."""
