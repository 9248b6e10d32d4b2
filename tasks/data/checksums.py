"""The digests that a folder's SHA256SUMS lists, in the forms that sha256sum and its kin write."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from bench.contract import InputError

GNU = re.compile(r"\\?([0-9a-fA-F]{64})[ \t]+\*?(\S.*)")
BSD = re.compile(r"SHA256 \((.+)\) = ([0-9a-fA-F]{64})")


def listed(folder: Path) -> dict[Path, str]:
    """The digest of each file that SHA256SUMS in the folder lists, by its absolute path; none without such a file.

    A byte-order mark, blank lines, comments (`# ...`), ends of lines of any system, digests in capitals, `*NAME` and
    names with spaces are read. A line may be of BSD's form, `SHA256 (NAME) = DIGEST`.

    Raises:
        InputError: a line is none of these, or lists a file again with another digest.
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
