"""The protocol of fair comparison: against the reference, the primary test, tuning, sequential seeds, the answer."""
