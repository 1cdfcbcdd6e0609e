"""The transcript, the question box, and the slice links in the model's texts."""
