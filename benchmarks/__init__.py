"""Side-by-side speed measurements, one command each."""
