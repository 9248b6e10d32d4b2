"""Commands that answer from recorded runs what to run next."""
