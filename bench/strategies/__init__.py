"""Optimizers and averagings: the parts of a strategy other than its schedule."""
