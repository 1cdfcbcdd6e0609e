"""Turn questions and answers about a scan into training sequences."""
