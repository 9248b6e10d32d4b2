"""Programs that README.md and schedules/README.md show; in a training loop, each update has the schedule's LR."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

import schedules
from bench.api.results import load
from schedules.schedule import factors
from tests.runs import ROOT

pytestmark = pytest.mark.faults

PAGES = "".join((ROOT / name).read_text() for name in ("README.md", "schedules/README.md"))
SNIPPETS = dict(re.findall(r"<!-- snippet: (\w+) -->\n```python\n(.*?)```", PAGES, re.DOTALL))

SPY = """
import json, os, sys
from torch.optim.optimizer import register_optimizer_step_pre_hook

lrs = []
register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: lrs.append(optimizer.param_groups[0]["lr"]))
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "__main__"})
with open(f"lrs-{os.environ.get('RANK', 0)}.json", "w") as file:
    json.dump(lrs, file)
"""
"""Runs a program, and notes the LR that each update of any optimizer runs at."""


def lrs(name, folder, *launcher):
    """LR of each update of each process of a snippet."""
    (folder / "spy.py").write_text(SPY)
    (folder / "snippet.py").write_text(SNIPPETS[name])
    command = [sys.executable, "-P", *launcher, "spy.py", "snippet.py"]
    places = {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=os.environ | places, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(file.read_text()) for file in sorted(folder.glob("lrs-*.json"))]


def expected(total):
    """LRs of the schedule that the snippets name."""
    schedule = schedules.parse("warmup(cosine, fraction=0.25)")
    return [0.1 * setting.factor for setting in factors(schedule, total, total // 2, 0.1)]


def test_these_programs_are_shown():
    assert list(SNIPPETS) == ["python", "accelerate", "trainer", "lightning", "audit"]


def test_accelerate_in_one_process_and_in_two(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert lrs("accelerate", tmp_path / "one") == [expected(16)]
    two = lrs("accelerate", tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    assert two == [expected(8), expected(8)]


def test_the_trainer_of_transformers(tmp_path):
    assert lrs("trainer", tmp_path) == [expected(16)]


@pytest.mark.skipif(importlib.util.find_spec("pytorch_lightning") is None, reason="pytorch-lightning is not installed")
def test_lightning(tmp_path):
    assert lrs("lightning", tmp_path) == [expected(16)]


def test_an_audited_loop_of_torch(tmp_path):
    (own,) = lrs("audit", tmp_path)
    cosine = [0.1 * setting.factor for setting in factors(schedules.parse("cosine"), 32, 8, 0.1)]
    assert own == 2 * ([0.1] * 32 + cosine)
    result = load(tmp_path / "runs" / "sums")
    assert [row["status"] for row in result.cells] == ["done"] * 4
    assert list(result.comparison.study.tasks) == ["audit:sums"]


def test_a_run_from_python(tmp_path):
    (tmp_path / "results").symlink_to(ROOT / "results")
    lrs("python", tmp_path)
    assert {row["strategy"] for row in load(tmp_path / "runs" / "python").cells} == {"constant", "cosine"}
