"""Audits: anybody's training loop in a ledger, and what is refused of one."""

import html
import math
import re

import numpy as np
import pytest

import bench
import schedules
from bench.analysis.protocol.answer import Answer
from bench.cli import main
from bench.ledger import ledger, paths, trace
from bench.ledger.rows import AUDIT
from bench.report import markup
from bench.report.document import document
from schedules.schedule import factors
from tests.runs import ROOT

BIRDS = {"task": "birds", "strategy": "cosine", "peak_lr": 0.1, "seed": 9, "epochs": 2, "epoch_steps": 5}
BIRDS |= {"metric": "accuracy", "test_size": 1000, "margin": 0.005}
LRS = [0.1 * setting.factor for setting in factors(schedules.cosine(), 10, 5, 0.1)]


def audited(directory, final=0.9, every=1, **settings):
    """A whole run whose final accuracy is `final`."""
    with bench.audit(directory, **BIRDS | settings) as log:
        lrs = factors(schedules.parse(log.run.strategy), log.run.total, 5, log.run.peak_lr)
        for step, setting in enumerate(lrs):
            if step % every == 0:
                log(step, lr=log.run.peak_lr * setting.factor, loss=1 / (1 + step))
        log.final(accuracy=final, loss=0.3, control=final - 0.01)
    return log


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """Six seeds of two strategies at three peak LRs, of which cosine at 0.1 is best."""
    directory = tmp_path_factory.mktemp("birds")
    for seed in range(6):
        for peak_lr in (0.03, 0.1, 0.3):
            own = 0.9 - (peak_lr != 0.1) / 50 + seed % 3 / 1000
            audited(directory, own, strategy="constant", peak_lr=peak_lr, seed=seed, every=4)
            audited(directory, own + 0.03 + seed % 2 / 1000, peak_lr=peak_lr, seed=seed)
    return directory


def test_an_audit_is_recommended_from_as_any_run(birds, capsys):
    advice = bench.recommend(task="audit:birds", epochs=2, ledger=birds)
    assert (advice.outcome, advice.strategy, advice.peak_lr) == ("take", "cosine", 0.1)
    assert "These runs are audited: loops outside Glideslope trained" in advice.answer
    assert advice.commands == ()
    assert html.escape(advice.answer) in advice._repr_html_()
    assert main.main(["recommend", "--task", "audit:birds", "--epochs", "2", "--ledger", str(birds)]) == 0
    assert " ".join(capsys.readouterr().out.split()).startswith(advice.answer)
    assert bench.recommend(family=AUDIT, epochs=2, ledger=birds).strategy == "cosine"


def test_an_audit_is_loaded_compared_and_reported_as_any_run(birds, capsys):
    result = bench.load(birds)
    assert len(result.cells) == 36
    assert result.answer.startswith("Take cosine decay")
    assert "These runs are audited" in str(result)
    assert main.main(["compare", str(birds), str(birds)]) == 0
    assert "No difference in 36 payloads" in capsys.readouterr().out
    text = markup.markdown(document(Answer(result.comparison), {}))
    assert "These runs are audited" in text
    assert "How sharing paid" not in text
    assert result.comparison.study.plan.curves["cosine"]["factor"] == [lr / 0.1 for lr in LRS]


def test_each_row_bears_its_origin_and_the_trace_its_lrs(birds):
    rows = ledger.read(birds)
    cells = [row for row in rows if row.kind == "cell"]
    assert {(row.payload["engine"], row.payload["family"]) for row in cells} == {(AUDIT, AUDIT)}
    assert {name.partition(":")[0] for row in rows if row.kind == "plan" for name in row.payload["tasks"]} == {AUDIT}
    at = next(row.key for row in cells if row.payload["schedule"] == "cosine" and row.payload["peak_lr"] == 0.1)
    columns = trace.read(paths.trace(birds, at))
    assert columns["lr"].tolist() == LRS
    assert columns["loss"].tolist() == [np.float32(1 / (1 + step)) for step in range(10)]


def test_a_plan_is_declared_before_its_run_which_is_missing_until_it_ends(tmp_path):
    log = bench.audit(tmp_path, **BIRDS)
    assert "1 of 1 planned cells have no row yet" in str(bench.load(tmp_path))
    again = bench.audit(tmp_path, **BIRDS)  # of a loop that was killed, and begins anew
    for step, lr in enumerate(LRS):
        again(step, lr=lr, loss=1.0)
    again.final(accuracy=0.5)
    result = bench.load(tmp_path)
    assert (len(result.cells), result.comparison.study.missing) == (1, 0)
    assert result.cells[0]["control"] == 0.5
    assert log.run.id == again.run.id


def test_parallel_loops_join_one_plan(tmp_path):
    logs = [
        bench.audit(tmp_path, **BIRDS | {"seed": seed, "strategy": text}) for seed, text in enumerate(["rex", "wsd"])
    ]
    logs.append(bench.audit(tmp_path, **BIRDS | {"task": "bees", "budget": 0.5}))
    study = bench.load(tmp_path).comparison.study
    assert (study.plan.cells, list(study.tasks)) == (3, ["audit:birds", "audit:bees"])
    assert study.tasks["audit:birds"].schedules == ["rex", "wsd"]
    assert study.tasks["audit:birds"].seeds == [0, 1]


@pytest.mark.parametrize("way", ["final", "losses"])
def test_a_run_that_overflows_has_diverged(tmp_path, way):
    with bench.audit(tmp_path, **BIRDS) as log:
        log(0, lr=LRS[0], loss=1.0)
        log(1, lr=LRS[1], loss=math.nan)
        if way == "final":
            log.final(accuracy=math.nan)
    assert [row["status"] for row in bench.load(tmp_path).cells] == ["diverged"]
    (cell,) = [row for row in ledger.read(tmp_path) if row.kind == "cell"]
    assert cell.payload["first_bad_step"] == 1


def test_an_error_of_the_loop_stays_what_it_was(tmp_path):
    with pytest.raises(ZeroDivisionError), bench.audit(tmp_path, **BIRDS) as log:
        log(0, lr=LRS[0], loss=1 / 0)


def test_any_name_is_taken_where_lrs_are_not_checked(tmp_path):
    log = bench.audit(tmp_path, **BIRDS | {"strategy": "my own decay", "check": False})
    log(9, lr=0.7, loss=1.0)
    log.final(accuracy=0.5)
    assert bench.load(tmp_path).cells[0]["strategy"] == "my own decay"


def test_a_closed_loop_schedule_has_no_lr_to_check(tmp_path):
    log = bench.audit(tmp_path, **BIRDS | {"strategy": "plateau(patience=2)"})
    log(0, lr=0.01, loss=1.0)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"strategy": "cosin"}, "unknown schedule 'cosin' (did you mean cosine?)"),
        ({"strategy": "a with b", "check": False}, "give a name of one line, without ' with '"),
        ({"peak_lr": -0.1}, "peak_lr -0.1: give a finite number above 0"),
        ({"budget": math.nan}, "budget nan: give a finite number above 0"),
        ({"epoch_steps": 2.5}, "epoch_steps 2.5: give a whole number"),
        ({"margin": "0.1"}, "margin '0.1': give a finite number"),
        ({"seed": -1}, "seed -1: give a whole number, 0 or more"),
        ({"seed": 1.0}, "seed 1.0: give a whole number"),
        ({"task": " "}, "give a name of one line"),
        ({"metric": "hits"}, "direction None of hits: give 'max' or 'min'"),
        ({"direction": "min"}, "direction 'min' of accuracy: give 'max' or none"),
        ({"reference": "linear"}, "was begun with constant as the reference, not linear"),
        ({"epochs": 3}, "has audit:birds with epochs 2.0, not 3.0"),
        ({"test_size": 10}, "has audit:birds with sizes {'test': 1000}, not {'test': 10}"),
        ({"seed": 0}, "holds this run already (audit:birds, cosine, peak LR 0.1, 10 updates, seed 0)"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_in_one_line(birds, settings, line):
    before = sorted(birds.rglob("*"))
    with pytest.raises(bench.InputError, match=re.escape(line)) as error:
        bench.audit(birds, **BIRDS | settings)
    assert "\n" not in str(error.value)
    assert sorted(birds.rglob("*")) == before


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (lambda log: log(0, lr=-0.1, loss=1.0), "log(0, lr=-0.1): give a finite LR, 0 or more"),
        (lambda log: log(0, lr=0.09, loss=1.0), "update 0 ran at LR 0.09, and cosine has 0.1 there"),
        (lambda log: log(10, lr=0.1, loss=1.0), "log(10): the next update is one of 0 to 9"),
        (lambda log: log.final(accuracy=1.0), "before any update was logged"),
        (lambda log: [log(0, lr=0.1, loss=1.0), log(0, lr=0.1, loss=1.0)], "the next update is one of 1 to 9"),
        (
            lambda log: [log(0, lr=0.1, loss=1.0), log.final(accuracy=1.0)],
            "after update 0 of 0 to 9: one that",
        ),
        (
            lambda log: [log(0, lr=0.1, loss=1.0), log.final(acc=1.0)],
            "give the metric of audit:birds, final(acc",
        ),
        (lambda log: log.__exit__(None, None, None), "ended without final(accuracy=...)"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(tmp_path, wrong, line):
    log = bench.audit(tmp_path, **BIRDS)
    with pytest.raises(bench.InputError, match=re.escape(line)):
        wrong(log)
    assert not bench.load(tmp_path).cells


def test_nothing_follows_the_end(tmp_path):
    log = audited(tmp_path)
    with pytest.raises(bench.InputError, match=re.escape("a second final(...)")):
        log.final(accuracy=1.0)
    with pytest.raises(bench.InputError, match="has ended"):
        log(9, lr=0.0, loss=1.0)
    assert bench.load(tmp_path).cells[0]["final"] == 0.9


def test_an_audit_does_not_touch_a_ledger_of_trained_cells(tmp_path):
    (tmp_path / "ledger").symlink_to(ROOT / "results" / "encoder" / "ledger")
    before = sorted((tmp_path / "ledger").iterdir())
    with pytest.raises(bench.InputError, match="holds cells that Glideslope trained: an audit needs a folder of its"):
        bench.audit(tmp_path, **BIRDS)
    assert sorted((tmp_path / "ledger").iterdir()) == before
