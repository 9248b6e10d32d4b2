"""Glideslope from Python: what the command line does, as functions. `bench/__init__.py` lists them."""
