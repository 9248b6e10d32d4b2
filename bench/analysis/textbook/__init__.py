"""The claims of textbooks about decay, and theory, held against ledgers."""
