"""A run with `--compile`, by inductor, killed and resumed: the payloads are those of an uninterrupted run."""

import os
import signal

import pytest

from bench.ledger import ledger
from tests.faults.test_kill import await_change, begin, snapshots, steps
from tests.runs import payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)", "wsd")
    return Suite("compiled", (Grid(task="digits(model='cnn')", schedules=some, budgets=(0.2,), seeds=1),))
"""


def test_a_compiled_run_is_killed_and_resumed(tmp_path):
    (tmp_path / "it.py").write_text(SUITE)
    options = ("--compile", "--workers", 1, "--snapshot-seconds", 0.05)
    assert begin(tmp_path / "it.py", tmp_path / "whole", *options).wait(600) == 0
    process = begin(tmp_path / "it.py", tmp_path / "killed", *options)
    assert await_change(snapshots, tmp_path / "killed", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert any(step > 0 for step in steps(tmp_path / "killed").values())
    assert begin(tmp_path / "it.py", tmp_path / "killed", *options).wait(600) == 0
    assert payloads(tmp_path / "killed") == payloads(tmp_path / "whole")
    assert traces(tmp_path / "killed") == traces(tmp_path / "whole")
    rows = [r.payload for r in ledger.read(tmp_path / "whole") if r.kind == "cell"]
    assert {r["arithmetic"] for r in rows} == {"backend=inductor"}
    assert min(r["final"]["accuracy"] for r in rows) > 0.5
