"""Statistics of ledger rows: which strategy ends best, by how much, and how certain that is. No text, no figures."""
