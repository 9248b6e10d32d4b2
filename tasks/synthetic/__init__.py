"""Synthetic problems with a known optimum."""
