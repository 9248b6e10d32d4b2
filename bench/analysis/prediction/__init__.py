"""Prediction of training loss for schedules and budgets that were not run, by published laws. No text, no figures."""
