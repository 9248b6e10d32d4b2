"""The ledger itself on W&B, as an artifact: what every number of a report can be derived from anew."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.contract import digest
from bench.ledger import paths
from bench.tracking.writer import settings

JOB = "ledger"
"""Job type of the run that brings a version, and type of the artifact."""


class Place(NamedTuple):
    """Where in W&B."""

    entity: str
    project: str


class Version(NamedTuple):
    """A version of the ledger artifact."""

    name: str  # ledger-PLAN:v0
    url: str


def upload(directory: Path, place: Place, plan: str) -> Version:
    """Bring the ledger's files to the project, unless its newest version holds the same bytes."""
    import wandb

    name = f"ledger-{plan}"
    artifact = wandb.Artifact(name, type=JOB, description=f"The ledger of plan {plan}")
    for part in paths.parts(directory):
        artifact.add_file(str(part))
    there = _newest(place, name)
    if there is None or there.digest != artifact.digest:
        run_id = digest(f"{plan} {artifact.digest}")
        with TemporaryDirectory() as folder:
            about = place._asdict() | {"id": run_id, "job_type": JOB, "dir": folder, "settings": settings(online=True)}
            with wandb.init(**about, reinit="create_new") as run:
                there = run.log_artifact(artifact).wait()
    return Version(f"{name}:{there.version}", there.url)


def _newest(place: Place, name: str) -> Any:
    """The latest version of an artifact, None if there is none."""
    import wandb

    try:
        return wandb.Api().artifact(f"{place.entity}/{place.project}/{name}:latest")
    except wandb.errors.CommError:
        return None
