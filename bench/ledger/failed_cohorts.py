"""Notes on cohorts that failed, for the other processes of a run. They are files next to the leases."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path

from bench.ledger import paths


def give_up(directory: Path, cohort: str, run: str, why: str) -> None:
    """Tell the other processes of a run that a cohort has failed, so that none of them trains it again."""
    folder = paths.leases(directory)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{cohort}.failed-{secrets.token_hex(4)}"
    fresh.write_text(json.dumps({"run": run, "why": why}))
    fresh.replace(folder / f"{cohort}.failed")


def given_up(directory: Path, run: str) -> dict[str, str]:
    """Cohorts that processes of this run gave up, with the reasons. Notes of other runs don't count."""
    reasons = {}
    for path in paths.leases(directory).glob("*.failed"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            note = json.loads(path.read_text())
            if note["run"] == run:
                reasons[path.stem] = note["why"]
    return reasons


def forget(directory: Path, cohort: str) -> None:
    """Remove the note that a cohort has failed, once it is done."""
    (paths.leases(directory) / f"{cohort}.failed").unlink(missing_ok=True)
