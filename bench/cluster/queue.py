"""SLURM's commands: what we ask of them, and what they answer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.contract import InputError


def submit(script: Path, *options: str) -> str:
    """Give a script to `sbatch`; the job's id.

    Raises:
        InputError: there is no sbatch, or it refuses; its first line says why.
    """
    if shutil.which("sbatch") is None:
        raise InputError("there is no sbatch here: submit where SLURM is, or write the scripts only, with --dry-run")
    done = subprocess.run(["sbatch", "--parsable", *options, str(script)], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"sbatch refused {script}: {said[0]}")
    return done.stdout.strip().partition(";")[0]  # a cluster's name may follow


def states(jobs: Sequence[str]) -> dict[str, str] | None:
    """State of each of these jobs that has not ended, by id (7_3 in an array); None where there is no answer."""
    if shutil.which("squeue") is None:
        return None
    words = ["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={','.join(jobs)}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:  # what it says of a job long gone
        return None
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
