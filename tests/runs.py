"""Run a suite as a user does, and read its output for comparison."""

import os
import subprocess
import sys
from pathlib import Path

from bench.ledger import ledger, lines, trace
from bench.ledger.rows import AttemptRow

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("plan", "cell", "eval", "cohort")

TINY = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "step", "cosine", "plateau(patience=1)", "wsd")
    return Suite("tiny", (
        Grid(task="digits", schedules=some, budgets=(0.05, 0.1), peak_lrs=(0.03, 0.1), seeds=2),
        Grid(task="quadratic", schedules=some, budgets=(0.1, 0.2), seeds=2),
    ))
"""
"""Source of a suite that takes seconds: open and closed loop, forks, two budgets, two tasks."""


def attempt(**facts):
    """Row of a process with only these fields set."""
    return AttemptRow.read(facts)


def launch(*arguments, launcher=(sys.executable,), check=True, timeout=900, **environment):
    """Run `python bench/run.py ARGS` (or another launcher) and return the finished process, its output captured."""
    command = [*launcher, "bench/run.py", *map(str, arguments)]
    settings = os.environ | {"ACCELERATE_USE_CPU": "true", "COLUMNS": "120"} | environment
    process = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=timeout)
    if check and process.returncode:
        raise AssertionError(f"exit code {process.returncode}\n{process.stdout}\n{process.stderr}")
    return process


def payloads(directory):
    """Every deterministic payload, by kind and key."""
    return {(r.kind, r.key): r.payload for r in ledger.read(directory) if r.kind in KINDS}


def traces(directory):
    """Every trace as bytes, so that NaNs compare equal."""
    files = sorted((directory / "traces").glob("*.npz"))
    return {f.stem: {k: v.tobytes() for k, v in trace.read(f).items()} for f in files}


def count_lines(directory):
    """Number of rows of the deterministic kinds in the files, with duplicates."""
    return sum(row.kind in KINDS for row in lines.LedgerReader(directory, lines.row).new())
