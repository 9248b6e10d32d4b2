"""Processes of a SLURM step find each other, and keep to the cores that they were given."""

import os

import pytest

from bench import cli
from bench.world import World, of_slurm

STEP = {
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "12",
    "SLURM_STEP_ID": "0",
    "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7",
}


def test_a_task_of_a_step_has_its_place():
    place = of_slurm(STEP)
    assert 20_000 <= int(place.pop("MASTER_PORT")) < 30_000
    assert place == {
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "10.0.0.7",
    }


def test_all_tasks_of_a_step_meet_at_one_port_and_steps_at_different_ones():
    ports = [of_slurm(STEP | {"SLURM_PROCID": str(i)})["MASTER_PORT"] for i in range(8)]
    assert len(set(ports)) == 1
    others = {of_slurm(STEP | {"SLURM_JOB_ID": str(i)})["MASTER_PORT"] for i in range(1000)}
    assert len(others) == 1000


def test_an_address_that_is_given_comes_first():
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1234"}
    assert given.items() <= of_slurm(STEP | given).items()


@pytest.mark.parametrize("other", [{"RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "1"}])
def test_torchrun_and_single_tasks_keep_their_own_place(other):
    assert of_slurm(STEP | other) == {}


def test_a_process_has_no_more_cores_than_slurm_gave_its_job(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert World(0, 1, 1, "cpu").cores == 16
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert World(0, 1, 1, "cpu").cores == 4
    assert World(0, 2, 2, "cpu").cores == 2
    assert World(0, 8, 8, "cpu").cores == 1


def test_an_assignment_that_means_nothing_is_refused(tmp_path, capsys):
    for wrong, said in (("cohorts.json", "should be FILE:I"), ("a.json:x", "should be FILE:I")):
        with pytest.raises(SystemExit) as end:
            cli.main(["run", "smoke", "--assigned", wrong])
        assert end.value.code == 2
        assert said in capsys.readouterr().err
    assert cli.main(["run", "smoke", "--assigned", f"{tmp_path}/a.json:0", "--shard", "0/2"]) == 2
    assert "exclude each other" in capsys.readouterr().err
