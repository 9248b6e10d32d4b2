"""Sections of reports: one file for each analysis that is put into words."""
