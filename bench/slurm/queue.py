"""SLURM's commands `sbatch` and `squeue`: calls, and parsers of their output."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.contract import InputError

_JOB = re.compile(r"(\d+)(?:;(\S+))?")
_STATE = re.compile(r"((\d+)(?:_\d+)?)\s+([A-Z_]+)")


class SubmittedJob(NamedTuple):
    """A job that `sbatch` accepted."""

    id: str
    cluster: str = ""  # named where SLURM manages several clusters


def submit(script: Path, *options: str) -> SubmittedJob:
    """Submit a script with `sbatch`. Other output of the site, such as a banner, is ignored.

    Raises:
        InputError: there is no sbatch, it refuses (the error quotes its reason), or its output names no job.
    """
    if shutil.which("sbatch") is None:
        raise InputError("there is no sbatch here: submit where SLURM is, or write the scripts only, with --dry-run")
    result = subprocess.run(["sbatch", "--parsable", *options, str(script)], capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        reason = next((line for line in lines if line.startswith("sbatch: error")), lines[0])
        raise InputError(f"sbatch refused {script}: {reason}")
    answers = [match for line in result.stdout.splitlines() if (match := _JOB.fullmatch(line.strip()))]
    if not answers:
        raise InputError(
            f"sbatch accepted {script} but named no job ({result.stdout.strip()!r}): check squeue before you try again"
        )
    return SubmittedJob(answers[-1][1], answers[-1][2] or "")  # the last: banners come first


def states(jobs: Sequence[str], cluster: str = "") -> dict[str, str] | None:
    """State of each of these jobs that has not ended, by id (7_3 in an array); None if squeue fails or is missing."""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={','.join(jobs)}"]
    command += [f"--clusters={cluster}"] if cluster else []
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode and "Invalid job id" not in result.stderr:  # of a job that ended long ago
        return None
    # Lines that don't match are banners, or name the cluster.
    matches = (_STATE.fullmatch(line.strip()) for line in result.stdout.splitlines())
    return {match[1]: match[3] for match in matches if match and match[2] in jobs}
