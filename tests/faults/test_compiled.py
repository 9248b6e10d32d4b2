"""Runs that inductor compiles, killed and resumed: the payloads are those of an uninterrupted run."""

import time

import pytest

from bench.ledger import ledger
from tests.faults.test_kill import begin, kill, steps
from tests.runs import payloads, traces

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "cosine", "plateau(patience=1)", "wsd")
    return Suite("compiled", (Grid(task="TASK", schedules=some, budgets=(BUDGET,), seeds=1),))
"""
WAYS = {
    "models": ("digits(model='cnn')", 0.2, ("--compile",), 0),
    # Looks are compiled from the 101st of a width on; the first kill comes while some are not, and some are.
    "rows": ("digits", 1.0, ("--engine", "compiled", "--peak-lrs", 0.1), 130),
}
"""Task, budget, options and the step that is passed before the kill."""


def await_step(out, process, least):
    """Whether a checkpoint beyond a step is there before the process ends."""
    while process.poll() is None:
        if any(step > least for step in steps(out).values()):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_run_is_killed_and_resumed(tmp_path, way):
    task, budget, settings, least = WAYS[way]
    (tmp_path / "it.py").write_text(SUITE.replace("TASK", task).replace("BUDGET", str(budget)))
    options = (*settings, "--workers", 1, "--snapshot-seconds", 0.05)
    assert begin(tmp_path / "it.py", tmp_path / "whole", *options).wait(600) == 0
    process = begin(tmp_path / "it.py", tmp_path / "killed", *options)
    assert await_step(tmp_path / "killed", process, least)
    kill(process)
    assert any(step > least for step in steps(tmp_path / "killed").values())
    assert begin(tmp_path / "it.py", tmp_path / "killed", *options).wait(600) == 0
    assert payloads(tmp_path / "killed") == payloads(tmp_path / "whole")
    assert traces(tmp_path / "killed") == traces(tmp_path / "whole")
    rows = [r.payload for r in ledger.read(tmp_path / "whole") if r.kind == "cell"]
    if way == "models":
        assert {r["arithmetic"] for r in rows} == {"backend=inductor"}
    else:
        assert {r["engine"] for r in rows} == {"compiled"}
    assert min(r["final"]["accuracy"] for r in rows) > 0.5


def await_compiler(cache, process):
    """Whether a process ends some of inductor's kernels, but not all, before the process itself ends."""
    while process.poll() is None:
        begun, ready = ({p.stem for p in cache.rglob(f"*.main.{kind}")} for kind in ("cpp", "so"))
        if ready and begun - ready:
            return True
        time.sleep(0.01)
    return False


def test_a_run_that_is_killed_while_inductor_compiles_loses_nothing(tmp_path, monkeypatch):
    (tmp_path / "it.py").write_text(SUITE.replace("TASK", "digits").replace("BUDGET", "0.5"))
    options = ("--engine", "compiled", "--peak-lrs", 0.1, "--workers", 1, "--snapshot-seconds", 0.05)

    def start(name):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / f"cache-{name}"))
        return begin(tmp_path / "it.py", tmp_path / name, *options)

    process, whole = start("killed"), start("whole")
    try:
        assert await_compiler(tmp_path / "cache-killed", process)
        kill(process)
        assert not any(r.kind == "cell" for r in ledger.read(tmp_path / "killed"))
        assert start("killed").wait(600) == 0
        assert whole.wait(600) == 0
    finally:
        kill(whole)
    assert payloads(tmp_path / "killed") == payloads(tmp_path / "whole")
    assert traces(tmp_path / "killed") == traces(tmp_path / "whole")
