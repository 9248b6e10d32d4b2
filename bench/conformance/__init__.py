"""Comparison of our schedules with those of libraries: agreement, deviations and known traps."""
