"""The mirror: W&B as a window on the ledger, and never a source. One run per cell, always made from the ledger."""
