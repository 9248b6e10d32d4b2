"""Words and a figure for `bench.analysis.prediction`."""
