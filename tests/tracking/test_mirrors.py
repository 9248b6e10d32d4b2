"""The check that a server equals a ledger passes on what equals it, and on nothing else."""

import copy
import dataclasses

import pytest

from bench.tracking import runs
from tests.tracking.bank import ENTITY, Run
from tests.tracking.mirrors import assert_mirrors
from tests.tracking.standin import StandIn

pytestmark = pytest.mark.faults


@pytest.fixture
def held(few):
    """A server that holds the runs of a ledger, put there without a client."""
    server = StandIn()
    server.bank.project(ENTITY, "p")
    for it in runs.of_ledger(few):
        config = {key: {"value": value} for key, value in it.config.items()}
        about = {"group": it.group, "job_type": it.job_type, "tags": list(it.tags), "display": it.name}
        run = Run(ENTITY, "p", it.id, config=config, history=it.history, summary=it.summary, state="finished", **about)
        server.bank.runs[run.key] = run
    yield server
    server.down()


def test_the_mirrors_description_of_a_ledger_equals_the_ledger(held, few):
    assert len(held.runs("p")) == 24
    assert {run.results["status"] for run in held.runs("p").values()} == {"done", "diverged"}
    assert_mirrors(held, few, "p")


CHANGES = {
    "a run is missing": lambda bank, key, run: bank.runs.pop(key),
    "a run is there twice": lambda bank, key, run: bank.runs.update(
        {f"{key}-g2": dataclasses.replace(run, name=f"{run.name}-g2")}
    ),
    "a row is missing": lambda bank, key, run: run.history.pop(3),
    "a row is there twice": lambda bank, key, run: run.history.append(run.history[-1]),
    "a value has changed": lambda bank, key, run: run.history[2].update(lr=0.5),
    "a result has changed": lambda bank, key, run: run.summary.update(status="lost"),
    "a setting has changed": lambda bank, key, run: run.config.update(seed={"value": 7}),
    "a run has not ended": lambda bank, key, run: setattr(run, "state", "running"),
    "a run stands in another group": lambda bank, key, run: setattr(run, "group", "other"),
    "another run is there": lambda bank, key, run: bank.runs.update(
        {"x": Run(ENTITY, "p", "x", config={"cell": {"value": "x"}})}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_check_notices_any_difference(held, few, change):
    held.bank.runs = copy.deepcopy(held.bank.runs)
    key, run = next(iter(held.bank.runs.items()))
    CHANGES[change](held.bank, key, run)
    with pytest.raises((AssertionError, KeyError)):
        assert_mirrors(held, few, "p")
