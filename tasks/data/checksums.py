"""Digests in a folder's SHA256SUMS, in the formats of sha256sum and similar programs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from bench.contract import InputError

GNU = re.compile(r"\\?([0-9a-fA-F]{64})[ \t]+\*?(\S.*)")
BSD = re.compile(r"SHA256 \((.+)\) = ([0-9a-fA-F]{64})")


def listed(folder: Path) -> dict[Path, str]:
    """The digest of each file listed in the folder's SHA256SUMS, by absolute path; empty without such a file.

    Accepted are a byte-order mark, blank lines, comments (`# ...`), any line endings, upper-case digests, `*NAME` and
    names with spaces. A line may have BSD's format, `SHA256 (NAME) = DIGEST`.

    Raises:
        InputError: a line has another format, or lists a file again with another digest.
    """
    file = folder / "SHA256SUMS"
    if not file.is_file():
        return {}
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@cache
def _read(file: Path, _changed: int, _size: int) -> dict[Path, str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text ({type(error).__name__}); write it by sha256sum") from None
    digests: dict[Path, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, digest = _parsed(file, number, line.strip())
        path = (file.parent / name).absolute()
        if digests.setdefault(path, digest) != digest:
            raise InputError(f"{file}: line {number}: lists {name} again, with another digest; keep the right one")
    return digests


def _parsed(file: Path, number: int, line: str) -> tuple[str, str]:
    if match := GNU.fullmatch(line):
        digest, name = match.groups()
    elif match := BSD.fullmatch(line):
        name, digest = match.groups()
    else:
        raise InputError(f"{file}: line {number}: {line[:40]!r} is not DIGEST  NAME, as sha256sum writes it")
    return name, digest.lower()
