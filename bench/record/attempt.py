"""What a process is and runs on: everything about a row that may differ between two attempts at it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.contract import digest

CONTENDERS = ("schedulefree", "prodigyopt", "dadaptation", "momo-opt")
PACKAGES = ("torch", "torchvision", "timm", "transformers", "accelerate", "numpy", "scipy", *CONTENDERS, "glideslope")


def describe(plan: str, device: str, threads: int) -> dict[str, Any]:
    """Provenance of this process. Equal fingerprints promise equal payloads, bit for bit."""
    versions = {name: _version(name) for name in PACKAGES}
    processor = _processor()
    environment = (
        *(versions[name] for name in ("torch", "numpy", "transformers", *CONTENDERS)),
        device,
        threads,
        processor,
    )
    commit, dirty = _commit()
    return {
        "plan": plan,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit,
        "dirty": dirty,
        "versions": versions | {"python": platform.python_version()},
        "device": device,
        "processor": processor,
        "threads": threads,
        "fingerprint": digest("\n".join(map(str, environment))),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the checkout this file lies in and whether it has changes; (None, None) when installed."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(*words: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=here, check=True, capture_output=True, text=True).stdout.strip()
