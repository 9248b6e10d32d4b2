"""A recorded plan made larger: what was recorded stays as it is, and only what is missing is trained."""

import pytest

from bench.contract import InputError
from bench.ledger import paths
from bench.runner.config import RunConfig, prepare
from tests.runs import launch, payloads

FEW = "constant,cosine,wsd"
COMMON = (
    "smoke",
    "--tasks",
    "quadratic",
    "--schedules",
    FEW,
    "--budgets",
    "0.1",
    "--seeds",
    2,
    "--workers",
    1,
    "--peak-lrs",
)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """(directory, payloads before, payloads after) of a run extended by a peak LR."""
    out = tmp_path_factory.mktemp("extended") / "out"
    launch(*COMMON, "0.1", "--out", out)
    before = payloads(out)
    launch(*COMMON, "0.1,0.4", "--out", out, "--extend")
    return out, before, payloads(out)


def order(out, peak_lrs, **changes):
    few = {"suite": "smoke", "tasks": "quadratic", "schedules": FEW, "budgets": (0.1,), "seeds": 2, "extend": True}
    return RunConfig(**(few | changes), out=out, peak_lrs=peak_lrs)


def test_recorded_rows_stay_and_the_missing_cells_are_added(grown):
    _, before, after = grown
    assert before.items() <= after.items()
    added = [p for (kind, key), p in after.items() if kind == "cell" and (kind, key) not in before]
    assert {c["peak_lr"] for c in added} == {0.4}
    assert len(added) == sum(kind == "cell" for kind, _ in before)


def test_the_successor_of_the_plan_describes_the_whole(grown):
    out, before, after = grown
    (first,) = [p for (kind, _), p in before.items() if kind == "plan"]
    (last,) = [p for (kind, key), p in after.items() if kind == "plan" and (kind, key) not in before]
    assert last["extends"] == first["plan"]
    assert last["cells"] == 2 * first["cells"]
    assert last["tasks"]["quadratic"]["peak_lrs"] == [0.1, 0.4]
    assert last["cohorts"] == sum(kind == "cohort" for kind, _ in after)
    assert "Not finished" not in (out / "table.md").read_text()
    assert "2 LRs" in (out / "table.md").read_text()


def test_the_same_command_continues_and_trains_nothing(grown):
    out, _, after = grown
    assert "nothing to train" in launch(*COMMON, "0.1,0.4", "--out", out, "--extend").stdout
    assert payloads(out) == after


def test_a_plan_that_lacks_recorded_cells_is_refused(grown):
    with pytest.raises(InputError, match=r"--extend: \d+ of \d+ recorded cells are not in this plan"):
        prepare(order(grown[0], (0.4, 1.6)))


def test_an_unfinished_plan_is_finished_first(grown, tmp_path):
    (tmp_path / "ledger").mkdir()
    lines = [line for part in paths.parts(grown[0]) for line in part.read_text().splitlines(keepends=True)]
    some = [line for line in lines if '"kind":"cell"' not in line and '"extends"' not in line]
    (tmp_path / "ledger" / "part-000.jsonl").write_text("".join(some))
    with pytest.raises(InputError, match="finish it first"):
        prepare(order(tmp_path, (0.1, 0.4)))


def test_without_the_option_another_plan_is_refused(grown):
    done = launch(*COMMON, "0.1,0.4,1.6", "--out", grown[0], check=False)
    assert done.returncode == 2
    assert "--extend" in done.stderr
