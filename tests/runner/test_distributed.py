"""Processes of a SLURM step find each other, and keep to the cores that they were given."""

import multiprocessing
import os

import pytest
import torch

from bench.cli import main
from bench.contract import InputError
from bench.engine.prefetch import worker_count
from bench.ledger.machine import processors
from bench.runner import distributed
from bench.runner.config import RunConfig
from bench.runner.distributed import ProcessGroup, _memory, slurm_environment

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
    place = slurm_environment(STEP)
    assert 20_000 <= int(place.pop("MASTER_PORT")) < 30_000
    assert place == {
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "10.0.0.7",
    }


def test_all_tasks_of_a_step_meet_at_one_port_and_steps_at_different_ones():
    ports = [slurm_environment(STEP | {"SLURM_PROCID": str(i)})["MASTER_PORT"] for i in range(8)]
    assert len(set(ports)) == 1
    others = {slurm_environment(STEP | {"SLURM_JOB_ID": str(i)})["MASTER_PORT"] for i in range(1000)}
    assert len(others) == 1000


def test_an_address_that_is_given_comes_first():
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1234"}
    assert given.items() <= slurm_environment(STEP | given).items()


@pytest.mark.parametrize("other", [{"RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "1"}])
def test_torchrun_and_single_tasks_keep_their_own_place(other):
    assert slurm_environment(STEP | other) == {}


def test_a_shell_of_srun_waits_for_nobody():
    """`srun --ntasks=8 --pty bash`: what is typed there is alone, whatever the step's size."""
    assert slurm_environment(STEP | {"SLURM_PTY_PORT": "35001", "SLURM_PTY_WIN_COL": "80"}) == {}


def without(*names):
    return {name: value for name, value in STEP.items() if name not in names}


def test_a_given_address_needs_no_other():
    given = {"MASTER_ADDR": "10.0.0.9"}
    assert slurm_environment(without("SLURM_LAUNCH_NODE_IPADDR") | given)["MASTER_ADDR"] == "10.0.0.9"


def test_a_step_of_one_node_meets_on_it_and_of_several_asks_for_the_address():
    one = without("SLURM_LAUNCH_NODE_IPADDR") | {"SLURM_STEP_NUM_NODES": "1"}
    assert slurm_environment(one)["MASTER_ADDR"] == "127.0.0.1"
    with pytest.raises(InputError, match="set MASTER_ADDR to the address of the step's first node"):
        slurm_environment(without("SLURM_LAUNCH_NODE_IPADDR"))


@pytest.mark.parametrize("name", distributed.STEP_VARIABLES)
def test_a_variable_that_is_missing_is_named(name):
    with pytest.raises(InputError, match=f"a task of 8 of a SLURM step, but {name} is not set"):
        slurm_environment(without(name))


VARIABLES = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("auto", "0", "1.5", "", "9" * 5000),
    "SLURM_STEP_NUM_TASKS": ("x", "0", "4(x2)"),
    "SLURM_CPUS_ON_NODE": ("4x2",),
    "SLURM_RESTART_COUNT": ("x",),
    "ACCELERATE_USE_CPU": ("maybe", ""),
    "RANK": ("a", "-1", "1"),
    "WORLD_SIZE": ("two", "0"),
    "LOCAL_RANK": ("a",),
    "LOCAL_WORLD_SIZE": ("0", "x"),
    "OMPI_COMM_WORLD_RANK": ("x",),
    "MASTER_PORT": ("http",),
}


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, values in VARIABLES.items() for v in values])
def test_a_variable_that_is_no_number_is_one_line(monkeypatch, capsys, name, value):
    """Before anything is planned, as torchrun, Accelerate or SLURM may set it."""
    for each in VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    order = ["plan", "smoke", "--tasks", "linreg", "--schedules", "constant", "--seeds", "1"]
    assert main.main(order) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert name in err
    assert len(err) < 200


@pytest.mark.parametrize("name", ["SLURM_STEP_NUM_NODES", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_JOB_ID"])
def test_a_step_whose_variable_is_no_number_is_one_line(name):
    with pytest.raises(InputError, match=f"^{name} is 'x': it should be a whole number, "):
        slurm_environment(STEP | {name: "x"})


def test_where_the_system_keeps_no_list_of_cores_all_count(monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processors() == 6
    assert ProcessGroup().cores == 6
    assert _memory(torch.device("cpu")) > 0
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": False})
    assert worker_count(torch.device("cuda")) == 6


def test_a_process_has_no_more_cores_than_slurm_gave_its_job(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert ProcessGroup(0, 1, 1, "cpu").cores == 16
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert ProcessGroup(0, 1, 1, "cpu").cores == 4
    assert ProcessGroup(0, 2, 2, "cpu").cores == 2
    assert ProcessGroup(0, 8, 8, "cpu").cores == 1


def test_an_assignment_that_means_nothing_is_refused(tmp_path, capsys):
    for wrong, said in (("cohorts.json", "should be FILE:I"), ("a.json:x", "should be FILE:I")):
        with pytest.raises(SystemExit) as end:
            main.main(["run", "smoke", "--assigned", wrong])
        assert end.value.code == 2
        assert said in capsys.readouterr().err
    assert main.main(["run", "smoke", "--assigned", f"{tmp_path}/a.json:0", "--shard", "0/2"]) == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "takers"), [({"workers": 3}, 12), ({"workers": 3, "shard": (0, 2)}, 24), ({"data_parallel": True}, 1)]
)
def test_workers_of_all_processes_and_shards_share_the_cohorts(settings, takers):
    assert RunConfig(**settings).takers(ProcessGroup(size=4)) == takers
    assert RunConfig().takers(ProcessGroup(size=4, device="cuda:1")) == 4
