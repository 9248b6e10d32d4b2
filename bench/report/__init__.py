"""Evidence: from the rows of a ledger to tables, figures and one page. Derived, always; never a source."""
