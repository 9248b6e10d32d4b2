"""A run that goes on in rounds: nothing is trained twice, and it ends as one that had the last grid from the start."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from bench import preempt
from bench.analysis.protocol import sequential
from bench.contract import InputError
from bench.plan import packing
from bench.plan.plan import TUNE
from bench.runner import distributed, preview, session
from bench.runner.config import RunConfig, prepare
from bench.runner.worker import train
from bench.slurm import submission
from bench.slurm.request import Resources
from tests.runs import count_lines, launch, payloads

pytestmark = pytest.mark.faults

COMMON = (
    "smoke",
    "--tasks",
    "linreg",
    "--schedules",
    "constant, linear",
    "--budgets",
    "0.05",
    "--seeds",
    2,
    "--engine",
    "modules",
    "--workers",
    1,
    "--peak-lrs",
)
LOW, WHOLE = (0.1, 0.2), (0.1, 0.2, 0.4, 0.8)
PLACE = ("cohort", "segment")


def cells(out):
    """Each cell by its id, without its place among those that shared its training."""
    rows = {key: p for (kind, key), p in payloads(out).items() if kind == "cell"}
    return {key: {k: v for k, v in p.items() if k not in PLACE} for key, p in rows.items()}


def plans(out):
    rows = [p for (kind, _), p in payloads(out).items() if kind == "plan"]
    return sorted(rows, key=lambda plan: plan["cells"])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """(directory, what was printed) of a run whose choices lie beyond its first grid."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    return out, launch(*COMMON, "0.1,0.2", "--tune", "--out", out).stdout


def test_the_grid_grows_until_every_choice_lies_inside(tuned):
    out, text = tuned
    assert "round 2: linreg: constant, linear at the high edge (0.2): adding 0.4 for all strategies" in text
    assert text.index("round 2: ") < text.index("+ better than constant")
    assert text.count("+ better than constant") == 1
    assert "tuned: every choice of a peak LR lies inside its grid" in text
    last = plans(out)[-1]
    assert last["tasks"]["linreg"]["peak_lrs"] == list(WHOLE)
    assert any(note.startswith("round 2: linreg: ") for note in last["notes"])


def test_no_cell_is_trained_twice_and_each_is_that_of_a_run_of_the_last_grid(tuned, tmp_path):
    out, _ = tuned
    assert count_lines(out) == len(payloads(out))
    launch(*COMMON, ",".join(map(str, WHOLE)), "--out", tmp_path)
    assert cells(out) == cells(tmp_path)
    assert len(cells(out)) == 16


def test_the_same_command_trains_nothing_and_says_again_why_it_ended(tuned, tmp_path):
    out, _ = tuned
    before = payloads(out)
    text = launch(*COMMON, "0.1,0.2", "--tune", "--out", out).stdout
    assert "nothing to train" in text
    assert "tuned: every choice" in text
    assert payloads(out) == before


def test_a_finished_run_is_tuned_later(tuned, tmp_path):
    launch(*COMMON, "0.1,0.2", "--out", tmp_path)
    assert len(plans(tmp_path)) == 1
    launch(*COMMON, "0.1,0.2", "--tune", "--out", tmp_path)
    assert payloads(tmp_path) == payloads(tuned[0])


def test_without_the_option_and_with_a_smaller_cap_the_wider_plan_is_refused(tuned):
    for more in ((), ("--tune", 1)):
        done = launch(*COMMON, "0.1,0.2", *more, "--out", tuned[0], check=False)
        assert done.returncode == 2
        assert "peak LRs of linreg" in done.stderr


@pytest.fixture
def order(tmp_path):
    few = {"suite": "smoke", "tasks": "linreg", "schedules": "constant, linear", "budgets": (0.05,), "seeds": 2}
    return RunConfig(**few, engine="modules", workers=1, peak_lrs=LOW, tune=TUNE, out=tmp_path / "out")


@pytest.fixture
def go(monkeypatch, one_thread):
    """A function that runs a configuration in this process, as rank 0, without a report."""
    monkeypatch.setattr(session.write, "write", lambda directory, rows: directory / "report.html")
    monkeypatch.setattr(session.write, "show", lambda rows, console: None)

    def go(order, flag=None):
        group = distributed.ProcessGroup(run="here")
        return session.run_rounds(
            order, prepare(order), group, preempt.Flag() if flag is None else flag, Console(width=200)
        )

    yield go
    torch.use_deterministic_algorithms(False)


def test_a_failure_ends_a_round_and_the_same_command_retries(tuned, order, go, monkeypatch, capsys):
    def failing(cohort, *more):
        def broken(*news):
            if {cell.peak_lr for cell in cohort.cells} == {0.4} and cohort.seed == 1:
                raise MemoryError("no room")

        return train(cohort, *more[:-1], broken)

    with monkeypatch.context() as context:
        context.setattr(session.pool, "train", failing)
        assert go(order) == 1
    text = capsys.readouterr().out
    assert "failed: linreg seed 1: MemoryError: no room" in text
    assert "round 3" not in text
    assert "tuned: " not in text
    assert len(plans(order.out)) == 2
    assert go(replace(order)) == 0
    assert cells(order.out) == cells(tuned[0])


@pytest.mark.parametrize("round_number", [1, 2, 3])
def test_a_signal_in_any_round_changes_nothing_in_the_end(tuned, order, go, monkeypatch, round_number):
    flag, rounds = preempt.Flag(), []

    def stopping(cohort, *more):
        rounds.append(cohort.id)
        if len(rounds) == 2 * round_number:  # two seeds a round
            flag.signal = preempt.signal.SIGTERM
        return train(cohort, *more)

    with monkeypatch.context() as context:
        context.setattr(session.pool, "train", stopping)
        assert go(order, flag) == preempt.PREEMPTED
    assert go(order) == 0
    assert payloads(order.out) == payloads(tuned[0])
    assert count_lines(order.out) == len(payloads(order.out))


def test_seeds_are_added_to_the_tasks_that_are_not_decided(order, go, monkeypatch, capsys):
    """Here linreg needs two looks and quadratic three, which is the last."""
    looked = []

    def undecided(comparison, looks, look):
        assert looks == (2, 4, 5)
        seeds = {t.task: 0 for t in comparison.study.tries}
        for t in comparison.study.tries:
            seeds[t.task] = max(seeds[t.task], t.seed + 1)
        looked.append((look, seeds))
        return {"quadratic"} if look else {"linreg", "quadratic"}

    monkeypatch.setattr(sequential, "undecided_tasks", undecided)
    both = replace(order, tasks="linreg, quadratic", tune=0, until="decided", at_most=5)
    assert go(both) == 0
    text = capsys.readouterr().out
    assert "round 2: linreg, quadratic not decided at 2 seeds: going on to 4" in text
    assert "round 3: quadratic not decided at 4 seeds: going on to 5" in text
    assert "not decided at 5 seeds, the most allowed: quadratic" in text
    assert plans(both.out)[-1]["tasks"]["linreg"]["seeds"] == [0, 1, 2, 3]
    assert plans(both.out)[-1]["tasks"]["quadratic"]["seeds"] == [0, 1, 2, 3, 4]
    assert {tuple(plan["seed_looks"]) for plan in plans(both.out)} == {(2, 4, 5)}
    seen = [(0, {"linreg": 2, "quadratic": 2}), (1, {"linreg": 4, "quadratic": 4}), (2, {"linreg": 4, "quadratic": 5})]
    assert list({str(x): x for x in looked}.values()) == seen
    before = payloads(both.out)
    assert go(both) == 0
    assert payloads(both.out) == before


def test_looks_that_were_not_declared_before_the_run_are_refused(order, go):
    fixed = replace(order, tune=0)
    assert go(fixed) == 0
    with pytest.raises(InputError, match=r"begun with a fixed number of seeds, and looks at 2, 4 seeds .* cannot take"):
        go(replace(fixed, until="decided", at_most=4))


def test_grids_are_tuned_before_seeds_are_added(order, go, monkeypatch, capsys):
    monkeypatch.setattr(sequential, "undecided_tasks", lambda comparison, looks, look: {"linreg"})
    assert go(replace(order, until="decided", at_most=3)) == 0
    reasons = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round ")]
    assert ["adding" in reason for reason in reasons] == [True, True, False]


def test_an_array_task_trains_its_own_round_whatever_the_ledger_holds_by_now(tuned, order, tmp_path):
    first, file = prepare(replace(order, tune=None)).plan, tmp_path / "cohorts.json"
    packing.save(file, first, [(packing.Load.of(cohort, 1.0),) for cohort in first.cohorts])
    late = replace(order, out=tuned[0], assigned=packing.Assigned(file, 1))
    plan = prepare(late).plan
    assert plan.id == first.id
    assert late.part(plan).cohorts == (first.cohorts[1],)


def test_each_submission_is_of_the_next_round(order, go, tmp_path, capsys):
    def submit():
        assert submission.submit(order, Resources(dry_run=True), Console(width=200)) == 0
        return capsys.readouterr().out

    assert "Suite smoke: 2 of 2 cohorts" in submit()
    assert "--tune 4" in (order.out / "slurm/001/array.sbatch").read_text()
    assert go(replace(order, tune=0)) == 0  # as the array does
    capsys.readouterr()
    assert "round 2: linreg: constant, linear at the high edge (0.2): adding 0.4 for all strategies" in submit()
    assert go(order) == 0
    capsys.readouterr()
    text = submit()
    assert "tuned: every choice of a peak LR lies inside its grid" in text
    assert "nothing is missing" in text


def test_the_plan_says_what_may_follow(order, go, capsys):
    def plan():
        assert preview.show(order, Console(width=200)) == 0
        return capsys.readouterr().out

    # Four widenings of two ends, two strategies and two seeds.
    assert "round 1 of a run that goes on by --tune 4: further rounds come to 32 cells and " in plan()
    assert go(order) == 0
    capsys.readouterr()
    assert "tuned: every choice of a peak LR lies inside its grid" in plan()


def test_a_shard_is_refused(order):
    with pytest.raises(InputError, match=r"^--shard and --tune 4 exclude each other"):
        prepare(replace(order, shard=(0, 2)))
