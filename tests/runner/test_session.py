"""A suite from command to table: process counts, resuming, sharing, and members that diverge."""

import sys

import numpy as np
import pytest

import schedules
from bench.analysis.results import Study
from bench.ledger import ledger, paths, trace
from bench.runner.config import RunConfig, prepare
from bench.tracking import runs
from tests.runs import TINY, count_lines, launch, payloads, traces


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The tiny suite, run once by one process: (suite file, directory, what was printed)."""
    folder = tmp_path_factory.mktemp("reference")
    suite = folder / "tiny.py"
    suite.write_text(TINY)
    return suite, folder / "out", launch(suite, "--out", folder / "out", "--workers", 1).stdout


def test_the_table_and_the_page_come_out(reference):
    _, out, text = reference
    assert "digits" in text
    assert "10 %" in text
    for name in ("table.md", "table.csv", "report.html"):
        assert (out / name).stat().st_size > 100
    assert str(out / "report.html") in text


def test_every_cell_of_the_plan_has_its_row(reference):
    suite, out, _ = reference
    plan = prepare(RunConfig(suite=str(suite))).plan
    rows = [r for r in ledger.read(out) if r.kind == "cell"]
    assert sorted(r.key for r in rows) == sorted(c.id for c in plan.cells)
    assert {r.payload["status"] for r in rows} == {"done"}


def test_the_same_command_again_trains_nothing(reference):
    suite, out, _ = reference
    before = {f.name: f.read_bytes() for f in paths.parts(out)}
    text = launch(suite, "--out", out).stdout
    assert "nothing to train" in text
    after = {f.name: f.read_bytes() for f in paths.parts(out)}
    assert {k: v for k, v in after.items() if v} == before


def test_what_a_kill_left_of_a_finished_cohort_is_tidied(reference):
    """Between a cohort's row and the removal of its snapshot lies a moment."""
    suite, out, _ = reference
    (row,) = [r for r in ledger.read(out) if r.kind == "cohort"][:1]
    left = out / "snapshots" / f"{row.key}.pt"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"whole")
    (out / "traces" / row.key).mkdir()
    launch(suite, "--out", out)
    assert not left.exists()
    assert not (out / "traces" / row.key).exists()


def test_any_number_of_workers_gives_identical_rows(reference, tmp_path):
    suite, out, _ = reference
    launch(suite, "--out", tmp_path / "out", "--workers", 3)
    assert payloads(tmp_path / "out") == payloads(out)
    assert traces(tmp_path / "out") == traces(out)


def test_two_processes_of_torchrun_share_the_cohorts(reference, tmp_path):
    suite, out, _ = reference
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    launch(suite, "--out", tmp_path / "out", "--workers", 1, launcher=torchrun)
    assert payloads(tmp_path / "out") == payloads(out)
    assert count_lines(tmp_path / "out") == count_lines(out)


def test_shards_make_the_whole(reference, tmp_path):
    suite, out, _ = reference
    for i in range(2):
        launch(suite, "--out", tmp_path / "out", "--workers", 1, "--shard", f"{i}/2")
    assert payloads(tmp_path / "out") == payloads(out)


def lines_of(out, prepared):
    """(LR, momentum) sequence of every cell, from its schedule alone or, closed loop, from the recorded trace."""
    from schedules.schedule import factors

    rows = ledger.read(out)
    cells = {r.key: r.payload for r in rows if r.kind == "cell"}
    forks = {(r.payload["cohort"], r.payload["segment"]): r.payload for r in rows if r.kind == "eval"}
    for cohort in prepared.plan.cohorts:
        columns = trace.read(out / "traces" / f"{cohort.id}.npz")
        for cell in cohort.cells:
            schedule = prepared.schedules[cell.schedule]
            if not schedule.needs:
                steps = prepared.forecast.epoch_steps[cell.task]
                yield (
                    cohort,
                    [(cell.peak_lr * s.factor, s.momentum) for s in factors(schedule, cell.total, steps, cell.peak_lr)],
                )
                continue
            segment, end, line = cells[cell.id]["segment"], cell.total, []
            while segment is not None:
                fork = forks[cohort.id, segment]
                here = (columns["segment"] == segment) & (columns["step"] < end)
                line = [(lr, None) for lr in columns["lr"][here].tolist()] + line
                segment, end = fork["parent"], fork["start"]
            yield cohort, line


def test_looks_equal_the_trie_optimum(reference):
    suite, out, _ = reference
    prepared = prepare(RunConfig(suite=str(suite)))
    prefixes = {}
    for cohort, line in lines_of(out, prepared):
        group = prefixes.setdefault((cohort.task, cohort.seed), set())
        group.update(tuple(line[:k]) for k in range(len(line)))
    optimum = sum(map(len, prefixes.values()))
    looks = sum(r.payload["looks"] for r in ledger.read(out) if r.kind == "cohort")
    assert looks == optimum
    assert looks < sum(c.cell_steps for c in prepared.plan.cohorts)


def test_evaluations_tell_the_means_of_the_trace_between_them(reference):
    """Along forks, too: what a cell shared with others is part of its course."""
    _, out, _ = reference
    study = Study.of(ledger.read(out))
    cells = {r.key: r.payload for r in ledger.read(out) if r.kind == "cell"}
    for run in runs.of_ledger(out):
        cell = cells[run.id]
        facts = study.tasks[cell["task"]]
        norm, loss = ({row["step"]: row[name] for row in run.history if name in row} for name in ("grad_norm", "loss"))
        grid = facts.eval_epochs * facts.epoch_steps
        course = study.courses.of(cell["cohort"], cell["segment"], cell["total"], grid)
        assert course[-1].end == cell["total"]
        for it in course:
            steps = range(it.start, it.end)
            assert it.grad_norm == pytest.approx(np.mean([norm[k] for k in steps]))
            assert it.train_loss == pytest.approx(np.mean([loss[k] for k in steps]))


def test_cells_that_rode_one_member_are_one_run(reference):
    _, out, _ = reference
    rides = {}
    for row in ledger.read(out):
        if row.kind == "cell":
            cell = row.payload
            rides.setdefault((cell["cohort"], cell["segment"], cell["total"]), []).append(cell)
    shared = [cells for cells in rides.values() if len(cells) > 1]
    assert shared
    for cells in shared:
        assert all(c["final"] == cells[0]["final"] for c in cells)


def test_a_diverging_neighbour_changes_no_bit_with_modules(tmp_path):
    common = ("--tasks", "vowels", "--budgets", "0.03", "--seeds", 1, "--engine", "modules", "--workers", 1)
    few = ("--schedules", "constant,cosine")
    launch("smoke", "--out", tmp_path / "calm", "--peak-lrs", "0.05", *few, *common)
    launch("smoke", "--out", tmp_path / "wild", "--peak-lrs", "0.05,1e6", *few, *common)
    calm, wild = (
        {c["cell"]: c for (k, _), c in payloads(tmp_path / d).items() if k == "cell"} for d in ("calm", "wild")
    )
    lost = [c for c in wild.values() if c["peak_lr"] == 1e6]
    assert {c["status"] for c in lost} == {"diverged"}
    assert all(0 < c["first_bad_step"] < c["total"] for c in lost)
    place = ("cohort", "segment")
    for cell, payload in calm.items():
        assert {k: v for k, v in wild[cell].items() if k not in place} == {
            k: v for k, v in payload.items() if k not in place
        }


@pytest.mark.faults
def test_data_parallel_leaves_the_lr_of_open_loop_schedules_and_what_they_share_alone(tmp_path):
    common = ("smoke", "--tasks", "digits", "--budgets", "0.03", "--seeds", 1, "--schedules", "constant,cosine,wsd")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    launch(*common, "--engine", "modules", "--accumulate", 2, "--out", tmp_path / "one", "--workers", 1)
    launch(*common, "--engine", "modules", "--data-parallel", "--out", tmp_path / "two", launcher=torchrun)
    (one,), (two,) = (map(trace.read, (tmp_path / d / "traces").glob("*.npz")) for d in ("one", "two"))
    for column in ("segment", "step", "lr"):
        assert one[column].tobytes() == two[column].tobytes()
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
    (one,), (two,) = ([p for (k, _), p in payloads(tmp_path / d).items() if k == "cohort"] for d in ("one", "two"))
    assert [one[k] for k in ("looks", "moves", "segments")] == [two[k] for k in ("looks", "moves", "segments")]
    assert two["looks"] < two["cell_steps"]
    assert (one["arithmetic"], two["arithmetic"]) == ("accumulate=2", "processes=2")


def test_a_schedule_is_named_as_it_is_typed():
    plan = prepare(RunConfig(suite="smoke", tasks="linreg", schedules="wsd( cooldown = 0.2 ), cosine()", seeds=1)).plan
    assert {c.schedule for c in plan.cells} == {schedules.parse("wsd").text, "cosine"}
