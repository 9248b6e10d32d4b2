"""Numbers drawn from rows: who ends best, by how much, how sure. No words, no pictures."""
