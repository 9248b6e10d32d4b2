"""Data sets, checkpoints and the checks that every folder passes."""
