"""A file system that is really full, at many sizes: one line, exit code 1, nothing torn; with room, it continues."""

import pytest

from bench.ledger import checkpoint, ledger, paths, trace
from tests.runs import count_lines, launch, payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)")
    return Suite("full", (
        Grid(task="digits", schedules=some, budgets=(0.05, 0.1), peak_lrs=(0.03, 0.1), seeds=2),
        Grid(task="quadratic", schedules=some, budgets=(0.1,), seeds=2),
    ))
"""
SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 0.8)  # of what the run takes; at the last ones the report finds no room


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roomy")
    (folder / "full.py").write_text(SUITE)
    launch(folder / "full.py", "--out", folder / "out", "--workers", 1)
    return folder


def torn(out):
    """Whatever cannot be read back."""
    if paths.parts(out):
        ledger.read(out)
    for path in (out / "snapshots").glob("*"):
        checkpoint.load(path)
    for path in (out / "traces").rglob("*"):
        if path.is_file():
            trace.read(path)


@pytest.mark.parametrize(("share", "workers"), [*((share, 1) for share in SHARES), (0.03, 2)])
def test_a_run_that_finds_no_room_says_so_and_continues_when_there_is(roomy, small, tmp_path, share, workers):
    taken = sum(path.stat().st_size for path in (roomy / "out").rglob("*") if path.is_file())
    out = tmp_path / "out"
    small(out, max(4, int(share * taken / 1000)))
    run = (roomy / "full.py", "--out", out, "--workers", workers)
    done = launch(*run, "--snapshot-seconds", 0, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "no room on the disk" in line
    assert not (out / "report.html").exists()
    torn(out)
    small(out, 64_000)
    launch(*run)
    assert payloads(out) == payloads(roomy / "out")
    assert traces(out) == traces(roomy / "out")
    assert count_lines(out) == count_lines(roomy / "out")
    assert (out / "table.csv").read_bytes() == (roomy / "out" / "table.csv").read_bytes()
    assert (out / "report.html").exists()
