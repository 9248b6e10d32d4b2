"""The ledger itself as a W&B artifact, from which every number of a report can be derived again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.contract import digest
from bench.ledger import paths
from bench.tracking.writer import settings

JOB = "ledger"
"""Type of the artifact, and job type of the run that uploads a version."""


class Place(NamedTuple):
    """A project on W&B."""

    entity: str
    project: str


class Version(NamedTuple):
    """A version of the ledger artifact."""

    name: str  # ledger-PLAN:v0
    url: str


def upload(directory: Path, place: Place, plan: str) -> Version:
    """Upload the ledger's files, unless the newest version holds the same bytes; return the version."""
    import wandb

    name = f"ledger-{plan}"
    artifact = wandb.Artifact(name, type=JOB, description=f"The ledger of plan {plan}")
    for part in paths.parts(directory):
        artifact.add_file(str(part))
    version = _newest(place, name)
    if version is None or version.digest != artifact.digest:
        run_id = digest(f"{plan} {artifact.digest}")
        with TemporaryDirectory() as folder:
            options = place._asdict() | {"id": run_id, "job_type": JOB, "dir": folder}
            with wandb.init(**options, settings=settings(online=True), reinit="create_new") as run:
                version = run.log_artifact(artifact).wait()
    return Version(f"{name}:{version.version}", version.url)


def _newest(place: Place, name: str) -> Any:
    """The latest version of an artifact, None if there is none."""
    import wandb

    try:
        return wandb.Api().artifact(f"{place.entity}/{place.project}/{name}:latest")
    except wandb.errors.CommError:
        return None
