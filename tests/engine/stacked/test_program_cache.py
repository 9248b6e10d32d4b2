"""Programs of inductor's cache that a killed linker left without their head."""

import fcntl

import pytest

from bench.engine.stacked import program_cache
from tests.engine.toys import create, toy

FILES = {
    "empty.main.so": b"",
    "begun.so": bytes(9) + b"code",
    "whole.so": b"\x7fELF..",
    "busy.so": b"",
    "busy.cpp": b"",
}


def test_what_is_torn_and_nobody_builds_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    (tmp_path / "ab").mkdir()
    for name, content in FILES.items():
        (tmp_path / "ab" / name).write_bytes(content)
    (tmp_path / "locks").mkdir()
    with (tmp_path / "locks" / "busy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program_cache.mend()
        assert {p.name for p in (tmp_path / "ab").iterdir()} == {"whole.so", "busy.so", "busy.cpp"}
    program_cache.mend()
    assert {p.name for p in (tmp_path / "ab").iterdir()} == {"whole.so", "busy.cpp"}


@pytest.mark.parametrize(
    ("name", "backend", "mends"),
    [("modules", "", 0), ("stacked", "", 0), ("modules", "eager", 0), ("modules", "inductor", 1)],
)
def test_the_cache_is_mended_before_something_is_compiled(monkeypatch, name, backend, mends):
    asked = []
    monkeypatch.setattr(program_cache, "mend", lambda: asked.append(1))
    for place in ("modules.Modules", "stacked.engine.Stacked"):
        monkeypatch.setattr(f"bench.engine.{place}", lambda *_: None)
    create(name, toy(), "sgd", backend=backend)
    assert len(asked) == mends
