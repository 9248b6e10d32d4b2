"""Averagings in training: they ride free, in any company, over any stop; and the report tells of them."""

import dataclasses
import io
import json

import pytest
from rich.console import Console
from torch.nn import functional

import schedules
from bench import engine
from bench.analysis.comparison import Comparison
from bench.analysis.protocol.answer import Answer
from bench.analysis.results import Study
from bench.contract import SEMANTICS, InputError, digest
from bench.engine.loader import Loader
from bench.ledger import ledger
from bench.ledger.provenance import describe
from bench.plan import Grid, Suite
from bench.plan.forecast import Forecast
from bench.plan.plan import build
from bench.report import document, figures, markup, write
from bench.report.sections import provenance
from bench.runner.config import RunConfig, prepare
from bench.suites import AVERAGINGS
from bench.train.io import GO, STOP, TrainingIO
from bench.train.loop import Training
from tests.engine.toys import accuracy, toy
from tests.runs import attempt, payloads

TEXTS = ("ema(decay=0.8)", "swa(share=0.5)", "lawa(k=2)")
PLAIN = Grid(task="toy", schedules=("constant", "wsd", "plateau(patience=0)"), budgets=(0.15, 0.5, 1.0), seeds=1)
AVERAGED = dataclasses.replace(PLAIN, schedules=("constant", "wsd"), averagings=TEXTS)


def score(output, target):
    return accuracy(output, target) | {"loss": functional.cross_entropy(output, target[0]).item()}


TASK = dataclasses.replace(toy(), score=score, peak_lrs=(0.05, 0.1))


def train(out, *grids, name="modules", stops=(), **settings):
    """Train the only cohort of these grids, stopping and resuming; the payloads of its rows."""
    (cohort,) = build(Suite("s", grids), {"toy": TASK}, lambda task, optimizer, cells: name).cohorts
    known = {c.schedule: schedules.parse(c.schedule) for c in cohort.cells}
    ended, waiting = False, list(stops)
    while not ended:
        feed, stop = Loader(TASK, cohort.seed), waiting.pop(0) if waiting else None
        book = ledger.Ledger(out, attempt(fingerprint="here"))
        crew = engine.create(name, feed, cohort.cells[0].optimizer, 0.0)
        desk = TrainingIO(out, book, lambda step, stop=stop: STOP if step == stop else GO, **settings)
        ended = Training(cohort, TASK, known, crew, feed, desk).run()
        book.close()
    return payloads(out)


def kind(rows, wanted):
    return {key: row for (k, key), row in rows.items() if k == wanted}


def alike(a, b):
    """Are two rows of a cell equal but for where it was trained?"""
    place = ("cohort", "segment")
    return {k: v for k, v in a.items() if k not in place} == {k: v for k, v in b.items() if k not in place}


@pytest.mark.parametrize("name", ["modules", "stacked"])
def test_averagings_cost_no_look_and_no_fork(tmp_path, name):
    bare = train(tmp_path / "bare", PLAIN, name=name)
    rich = train(tmp_path / "rich", PLAIN, AVERAGED, name=name)
    ((before,), (after,)) = (kind(rows, "cohort").values() for rows in (bare, rich))
    for what in ("looks", "moves", "segments"):
        assert after[what] == before[what]
    assert after["cells"] == before["cells"] + 2 * 3 * 3 * 2


def test_company_changes_nothing(tmp_path):
    rich = kind(train(tmp_path / "rich", PLAIN, AVERAGED), "cell")
    bare = kind(train(tmp_path / "bare", PLAIN), "cell")
    assert all(alike(row, rich[key]) for key, row in bare.items())
    for text in TEXTS:
        few = dataclasses.replace(AVERAGED, schedules=("constant",), budgets=(0.5,), averagings=(text,))
        alone = kind(train(tmp_path / text, few), "cell")
        assert len(alone) == 2
        assert all(alike(row, rich[key]) for key, row in alone.items())
        assert all(row["averaging"] == text for row in alone.values())


@pytest.mark.parametrize("name", ["modules", "stacked"])
def test_stopped_anywhere_it_goes_on_to_the_same_rows(tmp_path, name):
    whole = train(tmp_path / "whole", PLAIN, AVERAGED, name=name)
    for first in (1, 4, 7):
        stops = (first, first + 3, 15)
        assert train(tmp_path / str(first), PLAIN, AVERAGED, name=name, stops=stops) == whole
        again = ledger.read(tmp_path / str(first), kinds=("resume",))
        assert [row.payload["step"] for row in again] == list(stops)


def test_an_average_of_the_last_weights_alone_is_the_recalibrated_reading(tmp_path):
    last = dataclasses.replace(PLAIN, averagings=("none", "ema(decay=0)", "lawa(k=1)"))
    rows = kind(train(tmp_path, last), "cell").values()
    read = {(r["schedule"], r["budget"], r["peak_lr"], r.get("averaging")): r for r in rows}
    for (schedule, budget, peak_lr, text), row in read.items():
        plain = read[schedule, budget, peak_lr, None]
        assert row["recalibrated"] == plain["recalibrated"]
        assert text is None or row["final"] == plain["recalibrated"]
    assert any(row["final"] != row["recalibrated"] for row in read.values())


def test_averages_are_evaluated_on_the_epoch_grid_and_the_best_epoch_is_theirs(tmp_path):
    rows = train(tmp_path, PLAIN, AVERAGED)
    for cell in kind(rows, "cell").values():
        if cell["schedule"] != "constant" or cell["budget"] != 1.0 or cell.get("averaging") == "swa(share=0.5)":
            continue
        track = cell.get("averaging")
        seen = [
            e
            for e in kind(rows, "eval").values()
            if (e["segment"], e.get("average")) == (cell["segment"], track) and e["step"] % 4 == 0
        ]
        assert len(seen) == 5 or cell["segment"] > 0
        best = max(e["control"] for e in seen)
        assert cell["best"]["control"] >= best
        assert cell["best"]["control"] in [e["control"] for e in kind(rows, "eval").values()]


def test_cells_without_averaging_keep_their_ids():
    cell = build(Suite("s", (PLAIN,)), {"toy": TASK}, lambda *_: "modules").cells[0]
    before = [getattr(cell, f.name) for f in dataclasses.fields(cell) if f.name not in ("averaging", "code")]
    assert cell.id == digest(json.dumps([SEMANTICS, *before]))
    assert len({dataclasses.replace(cell, averaging=text).id for text in ("none", *TEXTS)}) == 4


DECAYS = dataclasses.replace(PLAIN, schedules=("constant", "cosine"), budgets=(0.25, 1.0), seeds=2)
CONSTANT = dataclasses.replace(DECAYS, schedules=("constant",))
SEVERAL = (
    DECAYS,
    dataclasses.replace(CONSTANT, averagings=TEXTS),
    dataclasses.replace(DECAYS, optimizer="prodigy", peak_lrs=(0.5, 1.0)),
    dataclasses.replace(CONSTANT, optimizer="schedulefree_sgd(momentum=0.9)"),
)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Several optimizers and averagings on one task, trained: the rows."""
    out = tmp_path_factory.mktemp("several")
    plan = build(Suite("several", SEVERAL), {"toy": TASK}, lambda task, optimizer, cells: "modules")
    known = {s: schedules.parse(s) for s in DECAYS.schedules}
    book = ledger.Ledger(out, describe(plan.id, "cpu", 1))
    book.append("plan", plan.id, Forecast(plan, {"toy": TASK}, known).row().payload())
    for cohort in plan.cohorts:
        feed = Loader(TASK, cohort.seed)
        crew = engine.create("modules", feed, cohort.cells[0].optimizer, 0.0)
        Training(cohort, TASK, known, crew, feed, TrainingIO(out, book)).run()
    book.close()
    return ledger.read(out)


def test_the_report_names_optimizers_and_averagings(several):
    console = Console(file=io.StringIO(), width=200)
    write.show(write.find(several), console)
    text = console.file.getvalue()
    assert "Not tested: " in text
    it = Comparison(Study.of(several))
    whole = markup.markdown(document.document(Answer(it), {})).replace("\\", "")
    for name in ("lawa(k=2)", "ema(decay=0.8)", "schedulefree_sgd(momentum=0.9)"):
        assert f" constant with {name} " in whole
    assert " cosine with prodigy " in whole
    assert "8 strategies x 2 budgets x 2 LRs; n = 2 seeds" in whole
    assert "splitting into cohorts loses 0" in whole
    facts = dict(provenance.grid(it, "toy"))
    assert "prodigy, weight decay 0" in facts["optimizers"]
    figures.by_peak(it, "toy").savefig(io.BytesIO(), format="svg")  # where long names leave no room, matplotlib warns


def test_over_constant_means_constant_with_the_first_optimizer_and_no_averaging(several):
    it = Comparison(Study.of(several))
    assert it.reference("toy") == "constant"
    assert not any(v.identical for v in it.full("toy").values())
    assert it.study.peak_lrs("toy") == 2


def test_grids_of_one_task_and_optimizer_share_a_cohort_and_can_be_chosen():
    plan = prepare(RunConfig(suite="contenders", tasks="vowels", seeds=1)).plan
    optimizers = [cohort.cells[0].optimizer for cohort in plan.cohorts]
    assert len(optimizers) == len(set(optimizers)) == 8
    assert {c.task for c in plan.cells} == {"vowels"}
    assert {c.averaging for c in plan.cohorts[0].cells} == {"none", *AVERAGINGS}
    tries = {}
    for cell in plan.cells:
        tries.setdefault((cell.schedule, cell.optimizer, cell.averaging, cell.budget), set()).add(cell.peak_lr)
    assert {len(lrs) for lrs in tries.values()} == {5}


def test_no_averaging_goes_on_top_of_schedule_free(tmp_path):
    grid = 'Grid(task="linreg", schedules=("constant",), optimizer="schedulefree_sgd", averagings=("ema",))'
    (tmp_path / "it.py").write_text(f"from bench.plan import Grid, Suite\nsuite = lambda: Suite('s', ({grid},))\n")
    with pytest.raises(InputError, match="schedulefree_sgd is read by an average of its own"):
        prepare(RunConfig(suite=str(tmp_path / "it.py")))
