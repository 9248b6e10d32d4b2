"""Provenance of a process: everything that may differ between two attempts at the same row."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import time
from pathlib import Path

from bench.contract import digest
from bench.ledger.rows import AttemptRow

CONTENDERS = ("schedulefree", "prodigyopt", "dadaptation", "momo-opt")
DECIDING = (
    *("torch", "torchvision", "timm", "transformers", "accelerate", "peft", "numpy", "scipy", "scikit-learn"),
    *("faster-coco-eval", "pillow", "soundfile", "tokenizers", "sentencepiece", *CONTENDERS),
)
"""Packages that data, models, updates or scores depend on, so that another version may change bits."""

LATER = ("pytorch-optimizer",)
"""Further ones, in fingerprints only where they are installed: without them, attempts from before keep theirs."""

SWITCHES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "NVIDIA_TF32_OVERRIDE")
"""Environment variables that make a library compute as on another processor."""


def describe(plan: str, device: str, threads: int) -> AttemptRow:
    """Provenance of this process. Equal fingerprints promise equal payloads, bit for bit."""
    packages = *DECIDING, *(name for name in LATER if _version(name))
    versions = {name: _version(name) for name in (*packages, "glideslope")}
    processor, gpu = _processor(), _gpu(device)
    kind = device.partition(":")[0]  # the index among equal devices changes nothing
    switches = {name: os.environ[name] for name in SWITCHES if name in os.environ}
    decisive = [{name: versions[name] for name in packages}, kind, gpu, threads, processor, switches]
    commit, dirty = _commit()
    return AttemptRow(
        plan=plan,
        host=socket.gethostname(),
        process=os.getpid(),
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        commit=commit,
        dirty=dirty,
        versions=versions | {"python": platform.python_version()},
        device=device,
        processor=processor,
        threads=threads,
        gpu=gpu or None,
        fingerprint=digest(json.dumps(decisive, sort_keys=True)),
    )


def _gpu(device: str) -> dict[str, str] | None:
    """Properties of a GPU and of its libraries that may change bits; None on a CPU."""
    if device.partition(":")[0] == "cpu":
        return None
    import torch

    backend = {"cuda": str(torch.version.cuda), "hip": str(torch.version.hip)}
    if device.partition(":")[0] != "cuda":
        return backend
    gpu = torch.cuda.get_device_properties(device)
    shape = {"capability": f"{gpu.major}.{gpu.minor}", "multiprocessors": str(gpu.multi_processor_count)}
    cudnn = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return {"name": gpu.name, **shape, **backend, "cudnn": cudnn}


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
    """Commit of the checkout of this file, and whether there are changes to it; (None, None) when installed."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # a package may be installed inside another repository
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(*words: str) -> str:
    folder = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
