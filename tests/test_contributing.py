"""CONTRIBUTING.md, executed: its schedule, task and suite, compared in one run."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys

import pytest

from bench.analysis.results import Study
from bench.cli import main
from bench.contract import digest
from bench.ledger import ledger
from tests.runs import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(kind):
    """(text after the kind, code) of every marked block."""
    return re.findall(rf"<!-- {kind}: (.+?) -->\n```\w+\n(.*?)```\n<!-- end -->", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with everything added that CONTRIBUTING.md shows."""
    folder = tmp_path_factory.mktemp("contribution") / "glideslope"
    for part in ("bench", "schedules", "tasks"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in blocks("file"):
        (folder / name).write_text(code)
    for place, line in blocks("line"):
        name, dictionary = place.split()
        entry = line.strip().rstrip(",").split(": ")[1]
        path = folder / name
        package = path.parent.name
        text = path.read_text()
        opening = re.search(rf"^{dictionary}.* = {{$", text, flags=re.MULTILINE)
        assert opening, f"{name} has no {dictionary} = {{"
        text = text[: opening.end()] + "\n" + line.rstrip("\n") + text[opening.end() :]
        path.write_text(text.replace("from __future__ import annotations\n", IMPORT.format(package, entry), 1))
    return folder


IMPORT = "from __future__ import annotations\n\nfrom {0}.{1} import {1}\n"


def test_the_command_compares_what_was_added(project):
    ((_, command),) = blocks("command")
    assert command.split()[:2] == ["accelerate", "launch"]
    settings = os.environ | {"ACCELERATE_USE_CPU": "true", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, *command.split()[2:]], cwd=project, env=settings, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "halving" in (project / "runs" / "mine" / "table.md").read_text()
    assert "parity" in done.stdout
    cells = [r.payload for r in ledger.read(project / "runs" / "mine") if r.kind == "cell"]
    assert len(cells) == 4 * 2 * 3 * 3 + 4 * 2 + 4 + 4
    assert {c["status"] for c in cells} == {"done"}
    gentle = f"gentle.py:gentle@{digest((project / 'gentle.py').read_text(), 8)}(power=3)"
    assert {c["schedule"] for c in cells} == {"constant", "halving", "wsd(cooldown=0.3)", gentle}
    own = [c["optimizer"] for c in cells if c["peak_lr"] == 0.001]
    assert {re.sub("@[0-9a-f]{8}", "@", name) for name in own} == {"lion.py:Lion@(beta=0.8)"}
    assert {re.sub("@[0-9a-f]{8}", "@", c["task"]) for c in cells} == {
        "parity",
        "coins.py:coins@(epochs=2)",
        "digits(model='nets.py:Net@(width=8)', epochs=1, peak_lrs=[0.1])",
    }


def test_data_of_ones_own_need_no_code(project, monkeypatch):
    ((_, commands),) = blocks("data")
    make, compare = map(shlex.split, commands.strip().split("\n"))
    monkeypatch.chdir(project)
    runpy.run_path(make[1])
    assert compare[0] == "glideslope"
    assert main.main([*compare[1:], "--workers", "1"]) == 0
    (task,) = {r.payload["task"] for r in ledger.read(project / "runs" / "trees") if r.kind == "cell"}
    assert task == f"table({str(project / 'trees.csv')!r}, target='kind', kind='classification')"
    facts = Study.of(ledger.read(project / "runs" / "trees")).tasks[task]
    assert facts.baseline.name.startswith("the majority class, ash (")


@pytest.mark.parametrize(("tool", "rest"), [("ruff", ["check"]), ("ruff", ["format", "--check"])])
def test_what_is_shown_keeps_the_rules_it_asks_for(project, tool, rest):
    added = [name for name, _ in blocks("file") if "/" in name]
    command = [sys.executable, "-m", tool, *rest, "--config", str(ROOT / "pyproject.toml"), *added]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_doctest_holds(project):
    command = [sys.executable, "-m", "doctest", "schedules/halving.py"]
    settings = os.environ | {"PYTHONPATH": str(project)}
    done = subprocess.run(command, cwd=project, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not done.stdout
