"""SLURM's commands: what we ask of them, and what they answer."""

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
    """A job that `sbatch` took."""

    id: str
    cluster: str = ""  # named where SLURM looks after several


def submit(script: Path, *options: str) -> SubmittedJob:
    """Give a script to `sbatch`. What a site prints around its answer, a banner say, is passed over.

    Raises:
        InputError: there is no sbatch, it refuses (its line says why), or its answer names no job.
    """
    if shutil.which("sbatch") is None:
        raise InputError("there is no sbatch here: submit where SLURM is, or write the scripts only, with --dry-run")
    done = subprocess.run(["sbatch", "--parsable", *options, str(script)], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        why = next((line for line in lines if line.startswith("sbatch: error")), lines[0])
        raise InputError(f"sbatch refused {script}: {why}")
    answers = [match for line in done.stdout.splitlines() if (match := _JOB.fullmatch(line.strip()))]
    if not answers:
        raise InputError(
            f"sbatch took {script} but named no job ({done.stdout.strip()!r}): see squeue before trying again"
        )
    return SubmittedJob(answers[-1][1], answers[-1][2] or "")  # the last: banners come first


def states(jobs: Sequence[str], cluster: str = "") -> dict[str, str] | None:
    """State of each of these jobs that has not ended, by id (7_3 in an array); None where there is no answer."""
    if shutil.which("squeue") is None:
        return None
    words = ["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={','.join(jobs)}"]
    words += [f"--clusters={cluster}"] if cluster else []
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:  # what it says of a job long gone
        return None
    lines = (_STATE.fullmatch(line.strip()) for line in done.stdout.splitlines())  # CLUSTER: and banners are others
    return {line[1]: line[3] for line in lines if line and line[2] in jobs}
