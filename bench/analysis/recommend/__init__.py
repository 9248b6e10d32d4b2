"""Recommendations: which decay to take for a task or a family, from all ledgers at hand."""
