"""Ctrl-C at any moment of any command: exit code 75, and no traceback."""

import subprocess
import sys

import pytest

from bench.preempt import PREEMPTED
from tests.runs import ROOT

AT_IMPORT = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts with & ignore Ctrl-C

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = ["glideslope", *{words!r}]
"""

IN_WORK = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)

from bench.cli import list

def show(args):
    os.kill(os.getpid(), signal.SIGINT)

list.show = show
sys.argv = ["glideslope", "list", "tasks"]
"""

ENTRIES = {
    "script": "from bench.cli.main import main; sys.exit(main())",
    "module": "import runpy; runpy.run_module('bench.cli', run_name='__main__')",
    "file": "import runpy; runpy.run_path('bench/run.py', run_name='__main__')",
}


def done(text):
    return subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("entry", "words", "module"),
    [
        ("script", ["plan", "smoke", "--tasks", "linreg"], "argparse"),
        ("script", ["plan", "smoke", "--tasks", "linreg"], "bench.cli.options"),
        ("script", ["plan", "smoke", "--tasks", "linreg"], "bench.runner.preview"),
        ("script", ["--help"], "bench.cli.conform"),
        ("script", ["list", "tasks"], "numpy"),
        ("script", ["report", "results/core"], "numpy"),
        ("script", ["recommend", "--task", "digits", "--epochs", "5"], "bench.analysis"),
        ("script", ["compare", "results/core", "results/core"], "bench.report"),
        ("script", ["conform"], "torch"),
        ("script", ["publish", "results/core"], "bench.tracking.publish"),
        ("script", ["status", "results/core"], "rich"),
        ("script", ["submit", "smoke", "--dry-run"], "bench.slurm.submission"),
        ("module", ["plan", "smoke", "--tasks", "linreg"], "argparse"),
        ("module", ["run", "smoke", "--plan"], "bench.runner.session"),
        ("file", ["smoke", "--plan"], "argparse"),
    ],
)
def test_ctrl_c_during_imports_has_no_traceback(entry, words, module):
    process = done(AT_IMPORT.format(module=module, words=words) + ENTRIES[entry])
    assert (process.returncode, process.stderr) == (PREEMPTED, "")


def test_ctrl_c_at_work_is_one_line():
    process = done(IN_WORK + ENTRIES["script"])
    assert (process.returncode, process.stderr) == (PREEMPTED, "glideslope: interrupted\n")
