"""The training loop of one cohort."""
