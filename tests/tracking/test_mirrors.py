"""The check that a server equals a ledger passes if it does, and fails otherwise."""

import copy
import dataclasses

import pytest

from bench.tracking import runs
from tests.tracking.mirrors import assert_mirrors
from tests.tracking.standin.bank import ENTITY, Run
from tests.tracking.standin.server import StandIn

pytestmark = pytest.mark.faults


@pytest.fixture
def server(few):
    """A server with the runs of a ledger, stored without a client."""
    server = StandIn()
    server.bank.project(ENTITY, "p")
    for cell in runs.of_ledger(few):
        config = {key: {"value": value} for key, value in cell.config.items()}
        labels = {"group": cell.group, "job_type": cell.job_type, "tags": list(cell.tags), "display": cell.name}
        run = Run(
            ENTITY, "p", cell.id, config=config, history=cell.history, summary=cell.summary, state="finished", **labels
        )
        server.bank.runs[run.key] = run
    yield server
    server.down()


def test_the_mirrors_description_of_a_ledger_equals_the_ledger(server, few):
    assert len(server.runs("p")) == 24
    assert {run.results["status"] for run in server.runs("p").values()} == {"done", "diverged"}
    assert_mirrors(server, few, "p")


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
def test_the_check_notices_any_difference(server, few, change):
    server.bank.runs = copy.deepcopy(server.bank.runs)
    key, run = next(iter(server.bank.runs.items()))
    CHANGES[change](server.bank, key, run)
    with pytest.raises((AssertionError, KeyError)):
        assert_mirrors(server, few, "p")
