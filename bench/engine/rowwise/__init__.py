"""The engine that feeds members row by row to few working copies of the model."""

LANES = {"cuda": 2}
"""Working copies by the type of the device, each on a stream of its own; elsewhere there is one."""
