"""One file for each command of `glideslope`."""
