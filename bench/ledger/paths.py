"""Every path inside a run's directory."""

from __future__ import annotations

from pathlib import Path


def ledger(directory: Path) -> Path:
    """Folder of the ledger's parts."""
    return directory / "ledger"


def parts(directory: Path) -> list[Path]:
    """Files of the ledger, in a fixed order."""
    return sorted([*ledger(directory).glob("*.jsonl"), *ledger(directory).glob("*.jsonl.gz")])


def checkpoint(directory: Path, cohort: str) -> Path:
    """Checkpoint of a cohort in training."""
    return directory / "snapshots" / f"{cohort}.pt"


def trace(directory: Path, cohort: str) -> Path:
    """File of a finished cohort's trace."""
    return directory / "traces" / f"{cohort}.npz"


def trace_chunks(directory: Path, cohort: str) -> Path:
    """Folder of the parts of an unfinished cohort's trace."""
    return directory / "traces" / cohort


def traces(directory: Path) -> list[Path]:
    """Files of finished traces."""
    return sorted((directory / "traces").glob("*.npz"))


def weights(directory: Path, sha256: str) -> Path:
    """File of kept weights, named by the digest of its content."""
    return directory / "weights" / f"{sha256}.safetensors"


def training(model: Path) -> Path:
    """Run's directory in the folder of a model that `glideslope train` trained."""
    return model / "training"


def unfinished(directory: Path) -> set[str]:
    """Cohorts that have a checkpoint, chunks of a trace, or temporary files of either."""
    checkpoints = [path.name for path in (directory / "snapshots").glob("*")]
    chunks = [path.name for path in (directory / "traces").glob("*") if path.suffix != ".npz"]
    return {name.removeprefix(".").partition(".")[0] for name in (*checkpoints, *chunks)}


def leases(directory: Path) -> Path:
    """Folder of the leases on cohorts, and of the notes on failed ones."""
    return directory / "claims"


def audit_lock(directory: Path) -> Path:
    """File that loops outside Glideslope lock while they add to the plan."""
    return ledger(directory) / "audit.lock"


def prediction(directory: Path) -> Path:
    """Table of the predictions that held-out runs were compared with."""
    return directory / "prediction.csv"


def page(directory: Path) -> Path:
    """The report."""
    return directory / "report.html"


def figures(directory: Path) -> Path:
    """Folder of the report's figures."""
    return directory / "figures"


def submission(directory: Path, number: int) -> Path:
    """Folder of the scripts of a submission to SLURM."""
    return directory / "slurm" / f"{number:03d}"


def assignment(submission: Path) -> Path:
    """File that says which cohorts each array task of a submission trains."""
    return submission / "cohorts.json"


def jobs(submission: Path) -> Path:
    """File of the ids of a submission's jobs."""
    return submission / "jobs.json"


def submissions(directory: Path) -> list[Path]:
    """Folders of all submissions that have array tasks."""
    return sorted(path.parent for path in (directory / "slurm").glob("*/cohorts.json"))


def runs(root: Path) -> list[Path]:
    """Directories under `root` that hold a ledger."""
    return [folder.parent for folder in sorted(root.rglob("ledger"))]
