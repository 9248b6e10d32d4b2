"""Where the numbers come from: what was run, with which code, on what, and what sharing saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.evidence.compare import Comparison


def sharing(it: Comparison) -> Iterator[tuple[str, str]]:
    """What training cells together saved."""
    plan = it.study.plan
    yield "planned", _saved(plan["cell_steps"], plan["looks"])
    yield "optimum", f"{plan['optimum']:,} looks; splitting into cohorts loses {plan['split_loss']:,}"
    done = it.study.cohorts
    steps, looks = sum(c["cell_steps"] for c in done), sum(c["looks"] for c in done)
    yield "done", f"{_saved(steps, looks)}, in {len(done):,} of {plan['cohorts']:,} cohorts"


def _saved(cell_steps: int, looks: int) -> str:
    saved = f" ({1 - looks / cell_steps:.1%} saved)".replace("%", " %") if cell_steps else ""
    return f"{cell_steps:,} cell-steps in {looks:,} looks{saved}"


def sources(it: Comparison) -> Iterator[tuple[str, str]]:
    """What was run, with which code, on what."""
    plan = it.study.plan
    yield "suite", f"{plan['suite']}, plan {plan['plan']}"
    yield "cells", f"{len(it.study.tries):,} of {plan['cells']:,} recorded"
    for note in plan["notes"]:
        yield "note", note
    for place in dict.fromkeys(map(_place, it.study.attempts)):
        yield "ran with", place


def _place(attempt: Mapping[str, Any]) -> str:
    state = {True: " with uncommitted changes", False: "", None: ""}[attempt["dirty"]]
    versions = ", ".join(f"{name} {version}" for name, version in attempt["versions"].items() if version)
    where = f"{attempt['processor']}, device {attempt['device']}, threads per worker: {attempt['threads']}"
    return f"commit {attempt['commit'] or 'unknown'}{state}; {where}; {versions}"
