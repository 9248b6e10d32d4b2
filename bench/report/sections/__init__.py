"""One file for each analysis that a report puts into words."""
