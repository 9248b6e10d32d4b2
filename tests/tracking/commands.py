"""Commands that run a suite with W&B and publish it, as a user does."""

import subprocess
import sys

from tests.runs import ROOT, launch

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "step", "cosine", "wsd", "plateau(patience=1)")
    return Suite("tiny", (Grid(task="quadratic", schedules=some, budgets=(0.1, 0.2), peak_lrs=(0.03, 0.1), seeds={}),))
"""
"""20 cells per seed, and one cohort per seed."""


def online(suite, out, *more, **settings):
    return launch(suite, "--out", out, "--wandb", "online", "--workers", "1", *more, **settings)


def offline(suite, out, **settings):
    return launch(suite, "--out", out, "--wandb", "offline", "--workers", "1", **settings)


def publish(directory, *more, check=True):
    command = [sys.executable, "-m", "bench.cli", "publish", str(directory), *more]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 or not check, f"{result.stdout}\n{result.stderr}"
    return result
