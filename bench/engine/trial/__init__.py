"""Trials before training: what comes from outside is tried out on something small, and refused in one line."""
