"""Suites as SLURM array jobs: packed and submitted, and looked after."""
