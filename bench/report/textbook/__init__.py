"""The claims of textbooks and theory, in words and tables."""
