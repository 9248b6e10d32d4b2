"""Diagnostics: courses follow forks, norms are held over their tenths, gaps and regions are those planted."""

import csv
import io
import math

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.diagnostics import Diagnostics, beside_averages
from bench.analysis.history import Histories, HistoryInterval, decline
from bench.analysis.protocol.answer import Answer
from bench.analysis.results import Study
from bench.report import document, markup
from bench.report.sections import diagnostics
from tests.analysis.histories import evaluation, with_evaluations
from tests.analysis.rows import ledger, task

FEW = ("constant", "linear")
GRID = 30


def compared(outcome, course=None, strategies=FEW, **changes):
    facts = task(strategies, (1.0,), **changes)
    rows = ledger({"digits": facts}, outcome=outcome, tied=())
    rows = with_evaluations(rows, GRID, course) if course else rows
    return Comparison(Study.of(rows))


def by_peak(values):
    """An outcome that depends on the peak LR alone, with a spread of 0.001 over seeds that differs between peak LRs."""

    def outcome(name, strategy, budget, peak_lr, seed):
        final = values[peak_lr] + 0.001 * ((seed + round(100 * peak_lr)) % 3)
        return final, final, final

    return outcome


FLAT = by_peak({0.03: 0.9, 0.1: 0.9, 0.3: 0.9})


# ------------------------------------------------------------------------------------------------- courses


def test_a_course_follows_forks_and_leaves_out_what_is_evaluated_for_others():
    courses = Histories(
        [
            evaluation("c", 0, 10, 5.0, 1.0, 5.5),
            evaluation("c", 0, 15, 4.5, 1.0, 5.0),  # off the grid: the end of another cell's budget
            evaluation("c", 0, 20, 4.0, 1.0, 4.5),
            evaluation("c", 1, 20, 3.0, 2.0, 3.5, parent=0, start=12),
            evaluation("c", 1, 25, 2.0, 3.0, 2.5, parent=0, start=12),
            evaluation("c", 1, 20, 0.0, 0.0, 0.0, parent=0, start=12, average="ema(decay=0.99)"),
            evaluation("d", 1, 10, 9.0, 9.0, 9.5),
        ]
    )
    course = courses.of("c", 1, 25, 10)
    assert [(s.start, s.end, s.train_loss, s.grad_norm) for s in course] == [
        (0, 10, 5.0, 1.0),
        (10, 20, 3.0, 2.0),
        (20, 25, 2.0, 3.0),
    ]
    assert [s.end for s in courses.of("c", 0, 15, 10)] == [10, 15]
    assert courses.of("c", 1, 30, 10) == []  # its end was not evaluated


def stretches(norms, lrs=None, length=10):
    lrs = lrs or [0.1] * len(norms)
    return [
        HistoryInterval(length * i, length * (i + 1), lr, 1.0, norm, 1.0, 0.9)
        for i, (norm, lr) in enumerate(zip(norms, lrs, strict=True))
    ]


def test_the_decline_of_norms_is_of_the_last_tenth_over_the_first():
    assert decline(stretches([8.0, *[99.0] * 8, 2.0])) == 0.25
    twenty = [6.0, 2.0, *[99.0] * 16, 1.0, 3.0]
    assert decline(stretches(twenty)) == 0.5
    assert decline([*stretches([8.0] * 10), HistoryInterval(100, 101, 0.1, 1.0, 30.0, 1.0, 0.9)]) == pytest.approx(
        10 / 8
    )


def test_the_first_tenth_begins_after_the_warmup():
    lrs = [0.01, 0.05, 0.1, *[0.09] * 7]
    assert decline(stretches([50.0, 50.0, 4.0, *[9.0] * 6, 1.0], lrs)) == 0.25


@pytest.mark.parametrize("norms", [[1.0], [1.0, None, 1.0] * 4, [0.0] * 10])
def test_where_norms_cannot_be_told_there_is_no_decline(norms):
    assert decline(stretches(norms)) is None
    assert decline([]) is None


# --------------------------------------------------------------------------------------------- diagnostics


def overfitted(cell, progress):
    """Linear decay ends with half the gap, and its norms fall to an eighth where those of constant LR fall to 1/2."""
    linear = cell["schedule"] == "linear"
    jitter = 0.01 * (cell["seed"] % 3)
    fall = (3 if linear else 1) + jitter
    return 0.2, 2.0 ** (-fall * (progress > 0.5)), 0.2 + (0.3 if linear else 0.6) + jitter


def test_gaps_and_norms_are_those_planted():
    it = compared(FLAT, overfitted)
    found = Diagnostics(it).of("digits", 1.0)
    assert found["constant"].gap.mean == pytest.approx(0.61)
    assert found["constant"].gap_over is None
    assert found["linear"].gap_over.mean == pytest.approx(-0.3)
    assert found["linear"].gap_over.half is None  # the same in every seed, which says nothing of its width
    assert found["constant"].decline.mean == pytest.approx(-1.01)
    assert found["linear"].decline_over.mean == pytest.approx(-2.0)
    assert (found["linear"].train_loss.mean, found["linear"].test_loss.mean) == pytest.approx((0.2, 0.51))


def test_one_seed_without_evaluations_has_no_table():
    assert list(diagnostics.sheets(compared(FLAT, seeds=1), "digits")) == []


def test_without_evaluations_nothing_is_made_up():
    found = Diagnostics(compared(FLAT)).of("digits", 1.0)
    assert (found["linear"].gap, found["linear"].decline, found["linear"].train_loss) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "octaves", "most"),
    [
        ((0.5, 0.9, 0.5), 0.0, math.log2(10)),
        ((0.9, 0.9, 0.5), math.log2(0.1 / 0.03), math.inf),
        ((0.9, 0.9, 0.9), math.log2(10), math.inf),
        ((0.5, 0.5, 0.9), 0.0, math.inf),
    ],
)
def test_the_good_region_is_as_wide_as_the_grid_can_tell(values, octaves, most):
    outcome = by_peak(dict(zip((0.03, 0.1, 0.3), values, strict=True)))
    good = Diagnostics(compared(outcome)).of("digits", 1.0)["linear"].region
    assert (good.octaves, good.most) == pytest.approx((octaves, most))
    assert good.step == pytest.approx(math.log2(0.1 / 0.03))


def test_a_peak_lr_that_lost_a_seed_is_not_good():
    def outcome(name, strategy, budget, peak_lr, seed):
        return None if peak_lr == 0.3 and seed == 0 else (0.9, 0.9, 0.9)

    assert Diagnostics(compared(outcome)).of("digits", 1.0)["linear"].region.high == 0.1


def test_one_seed_has_no_region():
    assert Diagnostics(compared(FLAT, seeds=1)).of("digits", 1.0)["linear"].region is None


def averaged(rows):
    """Beside each cell of constant LR, one read by an average, 0.05 better."""
    for r in list(rows):
        it = r.payload
        if r.kind == "cell" and it["schedule"] == "constant":
            final = {name: v + 0.05 * (name == "accuracy") for name, v in it["final"].items()}
            more = {"cell": it["cell"] + "ema", "averaging": "ema(decay=0.99)", "final": final, "recalibrated": final}
            rows.append(r._replace(key=more["cell"], payload=it | more))
    return rows


def test_averages_of_constant_lr_stand_beside_decays_read_alike():
    rows = averaged(ledger({"digits": task(FEW, (1.0,))}, outcome=FLAT, tied=(), anew=lambda final: final + 0.02))
    it = Comparison(Study.of(rows))
    lead = beside_averages(it, "digits")
    assert list(lead) == ["linear"]
    assert lead["linear"]["constant with ema(decay=0.99)"].mean == pytest.approx(0.02 - 0.05)
    assert Diagnostics(it).of("digits", 1.0)["linear"].recalibrated.mean == pytest.approx(0.02)
    assert "decays over averages of constant" in markup.markdown(document.document(Answer(it), {}))


def test_the_tables_and_the_csv_say_it():
    it = compared(FLAT, overfitted)
    text = markup.markdown(document.document(Answer(it), {}))
    assert "digits: readings at 100 % of the full budget" in text
    assert "gap over constant | norm over constant | good peak LRs, octaves" in text
    assert "× 0.25" in text
    lines = {x["strategy"]: x for x in csv.DictReader(io.StringIO(diagnostics.diagnostics_csv(it)))}
    assert float(lines["linear"]["gap_over_reference"]) == pytest.approx(-0.3)
    assert float(lines["linear"]["norm_ratio_over_reference"]) == pytest.approx(0.25)
    assert lines["linear"]["octaves_below"] == "inf"
    assert lines["linear"]["recalibrated_over"] == ""
