"""The wheel in an environment of its own: a light core, and one line for whatever needs an extra."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.runs import ROOT

pytestmark = pytest.mark.faults

UV = next(filter(None, (os.environ.get("UV"), shutil.which("uv"), shutil.which(ROOT / ".uv" / "bin" / "uv"))), None)

LOOP = """
import sys
import torch
from schedules.adapter import Scheduler

optimizer = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.1)
scheduler = Scheduler(optimizer, "wsd(cooldown=0.5)", total=4, epoch_steps=2)
for _ in range(4):
    print(optimizer.param_groups[0]["lr"])
    optimizer.step()
    scheduler.step()
assert not {"torchvision", "timm", "transformers", "wandb", "sktime", "scipy"} & sys.modules.keys()
"""

AUDIT = """
import bench

facts = {"task": "t", "strategy": "linear", "peak_lr": 0.1, "seed": 0, "epochs": 1, "epoch_steps": 2}
with bench.audit("audited", **facts, metric="loss") as log:
    log(0, lr=0.1, loss=1.0)
    log(1, lr=0.05, loss=0.5)
    log.final(loss=0.4)
for call in (lambda: bench.run("smoke"), lambda: bench.load("audited"), lambda: bench.recommend(task="t", epochs=1)):
    try:
        call()
    except bench.InputError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    assert UV, "uv is needed: python3 -m venv .uv && .uv/bin/pip install uv"
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "-q", "--wheel", "-o", folder, ROOT, "--python", sys.executable], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of an environment that holds the wheel and what it depends on."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, place], check=True)
    subprocess.run([UV, "pip", "install", "-q", "--python", place, wheel], check=True)
    return place / "bin" / "python"


@pytest.fixture
def folder(tmp_path):
    """A working folder with names like ours and like the standard library's."""
    for name in ("bench", "schedules", "tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong module')")
    return tmp_path


def ended(*command, folder):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")}
    return subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)


def glideslope(python, *words, folder):
    return ended(python.with_name("glideslope"), *words, folder=folder)


def test_the_wheel_has_all_that_is_read_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"{name}/py.typed" for name in ("bench", "schedules", "tasks")} <= names
    assert {f"bench/report/web/{path.name}" for path in (ROOT / "bench/report/web").iterdir()} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"bench", "schedules", "tasks", "glideslope"}


def test_the_core_is_light_and_does_not_depend_on_the_folder(python, folder):
    listed = ended(UV, "pip", "list", "--python", python, "--format", "freeze", folder=folder).stdout
    assert len(listed.split()) < 8, listed
    for words in (["--help"], ["list", "schedules"], ["list", "tasks"], ["run", "--help"]):
        done = glideslope(python, *words, folder=folder)
        assert (done.returncode, done.stderr) == (0, ""), words
    status = glideslope(python, "status", ROOT / "results" / "encoder", folder=folder)
    assert "cells" in status.stdout


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["run", "smoke"], "bench"),
        (["plan"], "bench"),
        (["submit", "--dry-run"], "bench"),
        (["report", "run"], "report"),
        (["compare", "run", "run"], "report"),
        (["recommend", "--task", "digits", "--epochs", "5", "--ledger", "run"], "report"),
        (["publish", "run"], "wandb,report"),
        (["conform"], "bench"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_what_needs_an_extra_says_so_in_one_line(python, folder, words, extra):
    shutil.copytree(ROOT / "results" / "encoder", folder / "run")
    before = sorted(folder.rglob("*"))
    done = glideslope(python, *words, folder=folder)
    (line,) = done.stderr.splitlines()
    assert line.startswith("glideslope: this needs ")
    assert line.endswith(f"not installed: in the clone, pip install '.[{extra}]'")
    assert done.returncode == 2
    assert sorted(folder.rglob("*")) == before


def test_an_audit_needs_the_core_alone_and_the_rest_says_what_is_missing(python, tmp_path):
    done = ended(python, "-P", "-c", AUDIT, folder=tmp_path)
    assert done.stderr == ""
    bench, *others = done.stdout.splitlines()
    assert bench.endswith("pip install '.[bench]'")
    assert [line.rpartition(", ")[2] for line in others] == ["pip install '.[report]'"] * 2


def test_a_schedule_in_a_loop_needs_torch_alone(python, tmp_path):
    wanted = f"torch=={metadata.version('torch').partition('+')[0]}"
    subprocess.run([UV, "pip", "install", "-q", "--python", python, wanted], check=True)
    done = ended(python, "-P", "-W", "error", "-c", LOOP, folder=tmp_path)
    assert (done.stdout.split(), done.stderr) == (["0.1", "0.1", "0.1", "0.05"], "")


def test_workers_import_nothing_of_the_folder_or_of_the_script(folder):
    """With all extras, as a script without a guard, and as a command in a folder with names like ours."""
    suite = "Suite('s', (Grid(task='quadratic', schedules=('constant',), budgets=(0.05,), seeds=2),))"
    script = folder / "scripts" / "script.py"
    script.parent.mkdir()
    script.write_text(f"import bench\nfrom bench import Grid, Suite\nbench.run({suite}, workers=2, out='a')\n")
    (folder / "s.py").write_text(f"from bench.plan import Grid, Suite\n\n\ndef suite():\n    return {suite}\n")
    place = {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    for words in ([script], ["-P", "-m", "bench.cli", "run", "s.py", "--workers", "2", "--out", "b"]):
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=folder, env=os.environ | place, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("done;") == 2
    finals = [sorted(Path(folder / name / "table.csv").read_text().splitlines()) for name in "ab"]
    assert finals[0] == finals[1]
