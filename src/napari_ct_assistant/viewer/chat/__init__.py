"""The transcript, the question box, and the slice links in what the model writes."""
