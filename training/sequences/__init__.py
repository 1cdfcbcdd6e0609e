"""From questions and answers about a scan to training sequences."""
