"""The journal: transcripts and reports on disk while they grow."""
