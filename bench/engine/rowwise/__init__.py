"""The engine that feeds members row by row to few working copies of the model."""
