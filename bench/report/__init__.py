"""Reports: tables, figures and one page from the rows of a ledger. All of it is derived and can be deleted."""
