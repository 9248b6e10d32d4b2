"""Digests of what Python code does, which comments and moves do not change."""
