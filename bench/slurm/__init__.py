"""Suites as SLURM array jobs: packed, submitted and monitored.

submitit is not used: its jobs are pickled Python calls, while these are sbatch scripts of plain shell commands, which
users can read, edit and submit again. Array tasks get cohorts packed by predicted cost, and share a directory through
leases; a warning signal requeues a task, and it continues from its checkpoints, bit for bit.
"""
