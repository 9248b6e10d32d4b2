"""Digests of Python code that do not depend on comments, layout, names of locals and file names."""
