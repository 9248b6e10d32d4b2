"""The fast engine: members as rows of stacked weights."""
