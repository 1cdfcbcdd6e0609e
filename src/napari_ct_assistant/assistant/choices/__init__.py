"""Which of two reports of one scan readers prefer: the rows, and what they add up to."""
