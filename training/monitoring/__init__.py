"""What is known of a run before its first step, and what is measured while it lasts."""
