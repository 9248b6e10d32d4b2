"""Optimizers and averagings: what a strategy is besides its schedule."""
