"""Data sets, checkpoints, and the checks of their folders."""
