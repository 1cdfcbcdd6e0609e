"""The commands of `ct-assistant`, one module for each kind of work."""
