"""Other people's published runs, as rows of a ledger."""
