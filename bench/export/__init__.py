"""A trained model to take home: its weights, how it was trained, and a card, from the ledger and its kept weights."""
