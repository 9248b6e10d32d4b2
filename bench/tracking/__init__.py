"""Mirror of the ledger on W&B: one run per cell, always derived from the ledger, and never a source of results.

`wandb sync` is not used: it uploads the recorded run files, which a crash may have left incomplete. Runs here are a
pure function of the ledger, so `glideslope publish` can compare W&B's with it and leave exactly one run for each
finished cell, equal to the ledger, also after a crash.
"""
