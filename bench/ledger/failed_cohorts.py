"""Word among the processes of a run of which cohorts have failed in it. It lies beside the claims."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path

from bench.ledger import paths


def give_up(directory: Path, cohort: str, run: str, why: str) -> None:
    """Leave word for the other processes of a run that a cohort has failed, so that none of them tries it again."""
    folder = paths.leases(directory)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{cohort}.failed-{secrets.token_hex(4)}"
    fresh.write_text(json.dumps({"run": run, "why": why}))
    fresh.replace(folder / f"{cohort}.failed")


def given_up(directory: Path, run: str) -> dict[str, str]:
    """The cohorts that processes of this run have given up, and why; what other runs left there does not count."""
    words = {}
    for path in (paths.leases(directory)).glob("*.failed"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            word = json.loads(path.read_text())
            if word["run"] == run:
                words[path.stem] = word["why"]
    return words


def forget(directory: Path, cohort: str) -> None:
    """Take back the word that a cohort has failed: it is done."""
    (paths.leases(directory) / f"{cohort}.failed").unlink(missing_ok=True)
