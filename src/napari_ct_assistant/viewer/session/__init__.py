"""What lasts beyond one click: the loaded model, its jobs, and the state of each open scan."""
