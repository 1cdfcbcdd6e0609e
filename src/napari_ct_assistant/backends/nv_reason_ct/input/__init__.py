"""From a scan to the input of NV-Reason-CT: its grid, its crop, its region of the body."""
