"""The cache of inductor's programs on the disk, which a kill may leave damaged."""

from __future__ import annotations

import fcntl
from pathlib import Path


def mend() -> None:
    """Remove programs that a linker had not finished when it was killed, so that they are compiled again.

    Inductor builds no program whose file is there, whole or not. A linker writes the head of a file last, so one
    without a head is not whole; GNU ld writes the build ID after it, which nobody reads. Files that another process is
    building are locked, and stay.
    """
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    folder = Path(cache_dir())
    for program in folder.glob("*/*.so"):
        if _is_whole(program):
            continue
        (folder / "locks").mkdir(exist_ok=True)
        with (folder / "locks" / f"{program.name.partition('.')[0]}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not _is_whole(program):
                program.unlink(missing_ok=True)


def _is_whole(program: Path) -> bool:
    """True if the file has a head, or is gone."""
    try:
        with program.open("rb") as file:
            return any(file.read(4))
    except FileNotFoundError:
        return True
