"""Whatever happens to the server or to the run, one `glideslope publish` brings the server to the ledger."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.runs import ROOT
from tests.tracking.commands import offline, online, publish
from tests.tracking.mirrors import assert_mirrors

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("patience")]


def writes(standin):
    """Number of requests so far that changed the server's data."""
    changing = ("UpsertBucket", "file_stream", "DeleteRun", "CreateArtifact", "CommitArtifact")
    return sum(map(standin.count, changing))


def test_an_online_run_is_all_there_and_publishing_it_again_changes_nothing(standin, suite, tmp_path):
    out = tmp_path / "out"
    online(suite(2), out)
    assert_mirrors(standin, out, "p")
    assert len(standin.runs("p")) == 40
    before = writes(standin)
    publish(out)
    assert writes(standin) == before
    assert_mirrors(standin, out, "p")


def test_a_server_that_is_down_costs_the_run_nothing(standin, suite, tmp_path):
    out = tmp_path / "out"
    standin.down()
    online(suite(1), out)
    assert standin.runs("p") == {}
    standin.up()
    publish(out)
    assert_mirrors(standin, out, "p")


@pytest.mark.parametrize("requests", [3, 25])
def test_a_server_dies_in_the_middle(standin, suite, tmp_path, requests):
    out = tmp_path / "out"
    standin.die_after(requests)
    online(suite(1), out)
    standin.sound()
    standin.up()
    publish(out)
    assert_mirrors(standin, out, "p")


@pytest.mark.parametrize("fault", ["flaky", "dropping"])
def test_a_server_answers_at_random_or_not_at_all(standin, suite, tmp_path, fault):
    out = tmp_path / "out"
    getattr(standin, fault)(0.3)
    online(suite(1), out)
    standin.sound()
    publish(out)
    assert_mirrors(standin, out, "p")


@pytest.mark.parametrize("fault", ["flaky", "dropping"])
def test_publishing_itself_gets_through_a_bad_connection(standin, few, tmp_path, fault):
    out = shutil.copytree(few, tmp_path / "out")
    getattr(standin, fault)(0.2)
    publish(out, check=False)
    standin.sound()
    publish(out)
    assert_mirrors(standin, out, "p")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_run_is_killed_in_the_middle_and_goes_on(standin, suite, tmp_path, number):
    out, file = tmp_path / "out", suite(2)
    command = [sys.executable, "bench/run.py", str(file), "--out", str(out), "--wandb", "online", "--workers", "1"]
    run = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while len(standin.runs("p")) < 3 and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.killpg(run.pid, number)
        run.wait(120)
    online(file, out)
    publish(out)
    assert_mirrors(standin, out, "p")
    assert len(standin.runs("p")) == 40


def test_offline_runs_are_published_from_the_ledger_past_an_empty_and_a_torn_file(standin, suite, tmp_path):
    out = tmp_path / "out"
    offline(suite(1), out)
    empty, torn, *_ = sorted(out.glob("**/*.wandb"))
    empty.write_bytes(empty.read_bytes()[:7])
    torn.write_bytes(torn.read_bytes()[:-40])
    assert standin.runs("p") == {}
    publish(out)
    assert_mirrors(standin, out, "p")


def test_offline_runs_that_wandb_itself_synced_are_left_as_they_are(standin, suite, tmp_path):
    out = tmp_path / "out"
    offline(suite(1), out)
    folders = [str(path.parent) for path in out.glob("**/*.wandb")]
    subprocess.run([sys.executable, "-m", "wandb", "sync", *folders], check=True, capture_output=True, cwd=tmp_path)
    assert len(standin.runs("p")) == 20
    publish(out)
    assert_mirrors(standin, out, "p")


def test_a_run_that_someone_deleted_comes_back_as_the_next_generation(standin, few, tmp_path):
    out = shutil.copytree(few, tmp_path / "out")
    publish(out)
    name = next(iter(standin.runs("p")))
    standin.delete("p", name)
    publish(out)
    assert f"{name}-g2" in standin.runs("p")
    assert_mirrors(standin, out, "p")
    before = writes(standin)
    publish(out)
    assert writes(standin) == before


def test_six_processes_of_twenty_cells_each_at_once(standin, suite, tmp_path):
    out, file = tmp_path / "out", suite(6)
    options = ("--out", out, "--wandb", "online", "--workers", "1")
    runs = [
        subprocess.Popen(
            [sys.executable, "bench/run.py", str(file), *map(str, options), "--shard", f"{i}/6"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i in range(6)
    ]
    assert [run.wait(300) for run in runs] == [0] * 6
    assert len(standin.runs("p")) == 120
    assert_mirrors(standin, out, "p")
    before = writes(standin)
    publish(out)
    assert writes(standin) == before


def add_scores_of_a_removed_strategy(bank):
    """Add scores as an earlier ledger with one more strategy leaves them."""
    scores = next(run for run in bank.runs.values() if run.job_type == "scores")
    removed = dataclasses.replace(scores, name="removed", config=scores.config | {"run": {"value": "removed"}})
    bank.runs[removed.key] = removed


def test_a_report_is_published_and_updated_from_the_command_line(standin, few, tmp_path):
    out = shutil.copytree(few, tmp_path / "out")
    publish(out, "--report")
    (view,) = standin.bank.views.values()
    assert view.type == "runs/draft"
    (artifact,) = standin.bank.artifacts
    assert artifact.files == {path.name: path.read_bytes() for path in (out / "ledger").iterdir()}
    add_scores_of_a_removed_strategy(standin.bank)
    before = writes(standin)
    publish(out, "--report", "--final")
    (final,) = standin.bank.views.values()
    assert (final.id, final.type) == (view.id, "runs")
    assert json.loads(final.spec).keys() == json.loads(view.spec).keys()
    assert "removed" not in standin.runs("p")
    assert writes(standin) == before + 1  # its deletion
    assert_mirrors(standin, out, "p")
