"""A full disk where wandb writes: training completes, one line reports missing runs, and publishing uploads them."""

import pytest

from tests.runs import payloads
from tests.tracking.commands import offline, online, publish
from tests.tracking.mirrors import assert_mirrors

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("patience")]


def test_a_full_disk_in_the_folder_of_offline_runs_costs_the_run_nothing(standin, suite, tmp_path, small):
    out = tmp_path / "out"
    small(out / "wandb", 200)  # room for some of the runs
    result = offline(suite(1), out)  # exit code 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("W&B")]
    assert "No space left on device" in line
    assert f"glideslope publish {out}" in line
    assert result.stderr == ""
    assert len([kind for kind, _ in payloads(out) if kind == "cell"]) == 20
    assert (out / "report.html").exists()
    publish(out)  # the disk is still full
    assert_mirrors(standin, out, "p")


def test_a_full_disk_in_the_folder_of_temporary_files_costs_an_online_run_nothing(standin, suite, tmp_path, small):
    out, folder = tmp_path / "out", tmp_path / "temporary"
    small(folder, 4)
    result = online(suite(1), out, TMPDIR=str(folder))
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("W&B")]
    assert f"glideslope publish {out}" in line
    assert len([kind for kind, _ in payloads(out) if kind == "cell"]) == 20
    publish(out)
    assert_mirrors(standin, out, "p")
