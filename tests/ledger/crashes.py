"""A file system that crashes: entries and bytes that were not brought to the disk may be lost, and bytes torn.

It keeps two states of a folder: what processes see, which is a real folder, and what is certain to be on the disk.
Only `fsync` moves one to the other: of a file its bytes, of a folder its entries. At a crash any of the remaining
changes of entries may have reached the disk or not, in any mixture, and of bytes any blocks; lost blocks are zeros.
"""

import contextlib
import io
import os
import threading
from pathlib import Path

import pytest

from bench.ledger import atomic

BLOCK = 64
REAL = {
    name: getattr(os, name) for name in ("open", "write", "fsync", "ftruncate", "replace", "unlink", "mkdir", "rmdir")
}


class Crash(BaseException):
    """The process ends here."""


class Disk:
    """The folder `root`, which is empty at first, and what of it is on the disk."""

    def __init__(self, root, chance):
        self.root, self.chance = root, chance
        self.seen = {root: None}  # path -> number of a file, None of a folder
        self.kept = {root: None}
        self.waiting = {}  # folder -> changes of its entries, each a dict of path -> number; "gone" takes one away
        self.files = 0
        self.kept_bytes = {}  # by number
        self.unlinked = {}  # bytes by number
        self.steps = None  # until the process ends; None: never
        self.open_files = []

    # ------------------------------------------------------------------------------------ what processes do

    def step(self, partly=lambda: None):
        """Each operation is a step; the last one happens partly."""
        if self.steps is None:
            return
        self.steps -= 1
        if self.steps <= 0:
            if self.steps == 0:
                partly()
            raise Crash

    def change(self, folder, change):
        self.waiting.setdefault(folder, []).append(change)
        for path, number in change.items():
            if number == "gone":
                self.seen.pop(path, None)
            else:
                self.seen[path] = number

    def create(self, path):
        self.step()
        self.files += 1
        self.change(path.parent, {path: self.files})

    def forget(self, path):
        number = self.seen.get(path)
        if isinstance(number, int):
            self.unlinked[number] = path.read_bytes()

    def at(self, path, folder=None):
        return Path(f"/proc/self/fd/{folder}").readlink() / path if folder is not None else Path(path)

    @contextlib.contextmanager
    def process(self, steps):
        """What happens inside is done by one process, which ends after so many steps, its files closed."""

        def open_(path, flags, mode=0o777, *, dir_fd=None):
            if flags & os.O_CREAT and not Path(path).exists():
                self.create(Path(path))
            self.open_files.append(REAL["open"](path, flags, mode, dir_fd=dir_fd))
            return self.open_files[-1]

        def write(file, data):
            self.step(lambda: REAL["write"](file, data[: self.chance.randrange(len(data) + 1)]))
            return REAL["write"](file, data)

        def fsync(file):
            self.step()
            self.settle(self.at("", file))

        def ftruncate(file, size):
            self.step()
            REAL["ftruncate"](file, size)

        def replace(old, new):
            self.step()
            old, new = Path(old), Path(new)
            self.forget(new)
            REAL["replace"](old, new)
            self.change(new.parent, {new: self.seen[old], old: "gone"})

        def unlink(path, *, dir_fd=None):
            path = self.at(path, dir_fd)
            if path.exists():
                self.step()
                self.forget(path)
                self.change(path.parent, {path: "gone"})
            REAL["unlink"](path)

        def mkdir(path, mode=0o777):
            if not Path(path).exists():
                self.step()
                self.change(Path(path).parent, {Path(path): None})
            REAL["mkdir"](path, mode)

        def rmdir(path, *, dir_fd=None):
            self.step()
            path = self.at(path, dir_fd)
            REAL["rmdir"](path)
            self.change(path.parent, {path: "gone"})

        disk_ = self

        class File(atomic._File):
            def __init__(self, path, mode):
                disk_.create(Path(path))
                super().__init__(path, mode)

            def write(self, data):
                whole = bytes(data)
                disk_.step(lambda: io.FileIO.write(self, whole[: disk_.chance.randrange(len(whole) + 1)]))
                return super().write(data)

        self.steps, others = steps, set(threading.enumerate())
        with pytest.MonkeyPatch.context() as patch:
            for name, hook in {"open": open_, "write": write, "fsync": fsync, "ftruncate": ftruncate}.items():
                patch.setattr(os, name, hook)
            for name, hook in {"replace": replace, "unlink": unlink, "mkdir": mkdir, "rmdir": rmdir}.items():
                patch.setattr(os, name, hook)
            patch.setattr(atomic, "_File", File)
            try:
                yield
            finally:
                for thread in set(threading.enumerate()) - others:  # a process ends with its threads
                    thread.join()
                for file in self.open_files:
                    with contextlib.suppress(OSError):
                        os.close(file)
                self.open_files.clear()
                self.steps = None

    # ------------------------------------------------------------------------------------- what the disk does

    def settle(self, path):
        if path.is_dir():
            for change in self.waiting.pop(path, []):
                self.keep(change)
        elif path in self.seen:
            self.kept_bytes[self.seen[path]] = path.read_bytes()

    def keep(self, change):
        for path, number in change.items():
            if number == "gone":
                self.kept.pop(path, None)
            else:
                self.kept[path] = number

    def crash(self, root):
        """The disk as it is found after a crash, in the folder `root`: all of that is on the disk."""
        eager = self.chance.choice((0.0, 0.5, 1.0))  # how much of the rest had been written
        bytes_of = self.unlinked | {n: path.read_bytes() for path, n in self.seen.items() if n is not None}
        for changes in self.waiting.values():
            for change in changes:
                if self.chance.random() < eager:
                    self.keep(change)
        found = Disk(root, self.chance)
        found.files = self.files
        for path, number in sorted(self.kept.items()):
            there = root / path.relative_to(self.root)
            if path == self.root or there.parent not in found.seen:
                continue
            found.seen[there] = number
            if number is None:
                there.mkdir()
            else:
                there.write_bytes(self.torn(self.kept_bytes.get(number, b""), bytes_of[number], eager))
                found.kept_bytes[number] = there.read_bytes()
        found.kept = dict(found.seen)
        return found

    def torn(self, kept, now, eager):
        """Bytes that a crash left of a file: those kept are certain, unless it was cut since."""
        if not now.startswith(kept):
            return self.chance.choice((kept, now))
        size = self.chance.choice((len(kept), self.chance.randint(len(kept), len(now)), len(now)))
        left = bytearray(now[:size])
        for start in range(len(kept), size, BLOCK):
            if self.chance.random() >= eager:
                end = min(size, start - start % BLOCK + BLOCK)
                left[start:end] = bytes(end - start)
        return bytes(left)
