"""What NV-Reason-CT is asked and how its answers are read."""
