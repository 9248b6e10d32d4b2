"""The README's commands from installation to a published report, run against the stand-in server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT
from tests.tracking.mirrors import assert_mirrors
from tests.tracking.standin.server import KEY

pytestmark = pytest.mark.faults


def test_five_commands_lead_from_nothing_to_a_published_report(standin, tmp_path, monkeypatch):
    section = (ROOT / "README.md").read_text().partition("## On Weights & Biases")[2]
    install, activate, login, run, publish = re.search(r"```sh\n(.*?)\n```", section, flags=re.DOTALL)[1].split("\n")
    assert "pip install" in install
    assert activate == ". .venv/bin/activate"

    monkeypatch.delenv("WANDB_API_KEY")  # from here on, only `wandb login` provides the key
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in (f"{login} {KEY}", f"{run} --tasks linreg", publish):  # a task of seconds
        result = subprocess.run(
            command.split(),
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    assert_mirrors(standin, tmp_path / "runs" / "smoke", "glideslope")
    (view,) = standin.bank.views.values()
    assert view.type == "runs"
    assert f"Report on W&B: {standin.url}/team/glideslope/reports/" in result.stdout
