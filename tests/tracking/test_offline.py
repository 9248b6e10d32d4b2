"""Without any network, `--wandb offline` writes a file for each cell, which equals the ledger."""

import subprocess
import sys

import pytest

from bench.ledger import ledger
from tests.runs import ROOT
from tests.tracking.mirrors import assert_is, history
from tests.tracking.standin import files

pytestmark = pytest.mark.faults

SUITE = """
from bench.plan import Grid, Suite


def suite():
    some = ("constant", "step", "cosine", "wsd", "plateau(patience=1)")
    tasks = ("quadratic", "linreg", "digits", "vowels", "mnist5k")
    grids = (Grid(task=task, schedules=some, budgets=(0.05, 0.1), peak_lrs=(0.01,), seeds=1) for task in tasks)
    return Suite("fifty", tuple(grids))
"""


def test_each_file_of_fifty_cells_holds_the_ledgers_rows(tmp_path, wandb_environment):
    (tmp_path / "fifty.py").write_text(SUITE)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bench.cli", "run", str(tmp_path / "fifty.py"), "--out", str(out)]
    without_network = ["unshare", "--net", *command, "--wandb", "offline"]
    result = subprocess.run(without_network, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    assert "W&B: all runs are offline" in result.stdout

    rows = ledger.read(out)
    kinds = {kind: [r.payload for r in rows if r.kind == kind] for kind in ("plan", "cell", "eval")}
    (plan,) = kinds["plan"]
    offline_runs = [files.run(path) for path in sorted(out.glob("wandb/**/*.wandb"))]
    assert sorted(run.settings["cell"] for run in offline_runs) == sorted(cell["cell"] for cell in kinds["cell"])
    assert len(offline_runs) == 50
    cells = {cell["cell"]: cell for cell in kinds["cell"]}
    for run in offline_runs:
        cell = cells[run.settings["cell"]]
        evals = [e for e in kinds["eval"] if e["cohort"] == cell["cohort"]]
        assert_is(run, cell, plan, history(out, cell, evals, plan["tasks"][cell["task"]]["epoch_steps"]))
