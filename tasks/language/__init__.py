"""Language models: next symbols of a known source, of Python source code, and of texts of the user's own."""
