"""The comparison, on ledgers whose truth is known."""

import pytest

from bench.analysis import ranking
from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.protocol.reference import leads
from bench.analysis.results import Study
from bench.analysis.stats.effects import improvement_probability
from bench.analysis.stats.intervals import t_quantile
from bench.contract import InputError
from bench.report import document, tables
from tests.analysis.rows import PEAKS, ledger, reached, row, task

THREE = ("constant", "linear", "cosine")
NOISE = (0.000, 0.001, -0.001, 0.002, -0.002, 0.0015)
LEVELS = {"constant": 0.90, "linear": 0.95, "cosine": 0.951}


def known(name, strategy, budget, peak_lr, seed):
    """linear and cosine within noise of each other, constant clearly worse; the middle peak LR is the best."""
    value = LEVELS[strategy] - (0.02 if peak_lr != PEAKS[1] else 0.0) + NOISE[seed] * (1 if strategy == "cosine" else 2)
    return value, value, value + 0.001


def compare(outcome=known, strategies=THREE, tied=(), keep=lambda cell: True, **facts):
    its = task(strategies, **({"budgets": (0.5, 1.0)} | facts))
    return Comparison(Study.of(ledger({"digits": its}, outcome, tied, keep)))


def words(it, budget=1.0):
    return {s: v.word for s, v in it.at("digits", budget).items()}


def test_a_clear_difference_is_clear_and_a_small_one_is_noise():
    it = compare()
    assert words(it) == {"cosine": "best", "linear": "within noise", "constant": "worse"}
    assert it.best("digits") == "cosine"
    assert it.runner_up("digits") == "linear"
    behind = it.full("digits")["constant"].behind
    assert behind.mean == pytest.approx(0.051)
    assert it.standing("digits") == ["cosine", "linear", "constant"]
    assert {s: v.rank for s, v in it.full("digits").items()} == {"constant": 3, "linear": 2, "cosine": 1}


def test_lower_is_better_where_the_task_says_so():
    it = compare(direction="min")
    assert it.best("digits") == "constant"
    assert it.full("digits")["cosine"].behind.mean > 0


def test_the_choice_falls_on_the_peak_lr_that_control_prefers():
    score = compare().full("digits")["linear"].score
    assert [t.peak_lr for t in score.selected] == [PEAKS[1]] * 3
    assert score.edges == ()


def test_test_values_take_no_part_in_the_choice():
    def tempting(name, strategy, budget, peak_lr, seed):
        control, final, best = known(name, strategy, budget, peak_lr, seed)
        return control, final + (0.5 if peak_lr == PEAKS[2] else 0), best

    assert {t.peak_lr for v in compare(tempting).full("digits").values() for t in v.score.selected} == {PEAKS[1]}


def test_a_choice_at_the_end_of_the_grid_is_flagged_unless_all_are():
    def rising(name, strategy, budget, peak_lr, seed):
        return peak_lr, 0.9, 0.9

    assert compare(rising).full("digits")["linear"].score.edges == ("high",)
    assert compare(rising, peak_lrs=PEAKS[:2]).full("digits")["linear"].score.edges == ()


def test_cells_that_rode_one_member_are_identical_and_share_a_rank():
    def alike(name, strategy, budget, peak_lr, seed):
        same = budget == 0.5 and strategy == "linear"
        return known(name, "cosine" if same else strategy, budget, peak_lr, seed)

    it = compare(alike, tied=(("cosine", "linear"),))
    early = it.at("digits", 0.5)
    assert early["cosine"].identical == ("linear",)
    assert early["linear"].identical == ("cosine",)
    assert words(it, 0.5) == {"linear": "best", "cosine": "identical run", "constant": "worse"}
    assert {s: v.rank for s, v in early.items()} == {"constant": 3, "linear": 1.5, "cosine": 1.5}
    assert it.full("digits")["cosine"].identical == ()


def test_equal_values_of_different_members_tie_but_are_not_identical():
    it = compare(lambda name, strategy, *cell: known(name, "cosine", *cell))
    assert {v.rank for v in it.full("digits").values()} == {2.0}
    assert not any(v.identical for v in it.full("digits").values())
    assert words(it) == dict.fromkeys(("constant", "linear", "cosine"), "tied best")
    assert {row[1].mark for row in tables.results(it, "digits").rows} == {"first"}
    assert "no best, for constant, linear and cosine tie" in " ".join(document._sentences(it, "digits"))


def test_means_that_differ_by_rounding_alone_tie():
    """0.97, 0.98 and 0.99 in any order are one mean, whatever their sum's last bit says."""
    thirds = {"constant": (0.7, 0.2, 0.1), "linear": (0.1, 0.2, 0.7), "cosine": (0.2, 0.1, 0.7)}

    def counts(name, strategy, budget, peak_lr, seed):
        return (v := thirds[strategy][seed] + seed * 1e-17 + (1e-16 if strategy == "linear" else 0.0)), v, v

    it = compare(counts, baseline=None)
    assert {v.rank for v in it.full("digits").values()} == {2.0}
    assert set(words(it).values()) == {"tied best"}
    (test, *_) = PrimaryTest(it, interior=False).hypotheses
    assert test.signs == (0, 0, 1)


def test_means_near_0_that_differ_by_rounding_alone_tie():
    """A Matthews correlation may be negative: three means of 0, two of them with a last bit left."""
    nothings = {"constant": (0.1, -0.1, 0.0), "linear": (0.3, -0.2, -0.1), "cosine": (0.2, -0.3, 0.1)}

    def signed(name, strategy, budget, peak_lr, seed):
        return (v := nothings[strategy][seed]), v, v

    it = compare(signed, baseline=None)
    assert {v.rank for v in it.full("digits").values()} == {2.0}
    assert set(words(it).values()) == {"tied best"}
    assert {v.score.final.mean for v in it.full("digits").values()} == {0.0}
    assert all(v.behind.mean == 0 for v in it.full("digits").values())
    (test, *_) = PrimaryTest(it, interior=False).hypotheses
    assert test.signs == (0, 0, 1)


def test_seeds_near_0_that_differ_by_rounding_alone_have_no_lead():
    """Two runs whose correlations are 0 up to a last bit in one seed, and the same in the others."""

    def signed(name, strategy, budget, peak_lr, seed):
        return (v := (0.4, -0.3, 3e-17 if strategy == "cosine" else -3e-17)[seed]), v, v

    it = compare(signed, baseline=None)
    group = it.full("digits")
    assert set(leads(group["cosine"].score, group["constant"].score, 1.0).values()) == {0.0}
    assert group["cosine"].score.behind(group["constant"].score, "max").mean == 0
    assert float(improvement_probability([[0.4, 3e-17]], [[0.4, -3e-17]])) == 0.5


def test_different_runs_with_one_difference_in_each_seed_have_a_width():
    """Two accuracies of 100 examples are each known to a hundredth, so their difference is not known exactly."""

    def apart(name, strategy, budget, peak_lr, seed):
        return (v := 0.9 + 0.01 * seed + (0.02 if strategy == "cosine" else 0.0)), v, v

    sizes = {"train": 1000, "control": 100, "test": 100}
    behind = compare(apart, sizes=sizes).full("digits")["constant"].behind
    assert behind.mean == pytest.approx(0.02)
    assert behind.half == pytest.approx(t_quantile(3) * 0.01 / (6 * 3) ** 0.5)
    others = compare(apart, sizes=sizes, metric="mAP@.5").full("digits")["constant"]
    assert (others.behind.half, others.word) == (None, "not judged")  # its spacing is not known
    one = compare(apart, sizes=sizes, budgets=(1.0,), tied=(("constant", "linear"),)).full("digits")
    assert one["linear"].score.behind(one["constant"].score, "max") == (0.0, 0.0, 3)  # one run, known to be equal


def test_a_diverged_seed_costs_the_strategy_its_mean_and_puts_it_last():
    def losing(name, strategy, budget, peak_lr, seed):
        return None if (strategy, seed) == ("cosine", 1) else known(name, strategy, budget, peak_lr, seed)

    it = compare(losing)
    lost = it.full("digits")["cosine"]
    assert (lost.rank, lost.word, lost.score.diverged, lost.score.final) == (3, "diverged", 1, None)
    assert it.best("digits") == "linear"


def test_a_peak_lr_that_diverges_is_avoided():
    def steep(name, strategy, budget, peak_lr, seed):
        return None if (peak_lr, seed) == (PEAKS[1], 0) else known(name, strategy, budget, peak_lr, seed)

    score = compare(steep).full("digits")["linear"].score
    assert [t.peak_lr for t in score.selected] == [PEAKS[0]] * 3
    assert score.diverged == 0
    assert score.at_peak(PEAKS[1]) == (None, 1, 3)
    # With more seeds each is chosen for by the others. Seed 0 sees only those that like the middle LR, and pays for it.
    score = compare(steep, seeds=6).full("digits")["linear"].score
    assert [t.peak_lr for t in score.selected] == [PEAKS[1], *[PEAKS[0]] * 5]
    assert score.diverged == 1


def test_when_all_diverge_there_is_no_best():
    it = compare(lambda *cell: None)
    assert it.best("digits") is None
    assert it.runner_up("digits") is None
    assert set(words(it).values()) == {"diverged"}
    assert {v.rank for v in it.full("digits").values()} == {2.0}


def test_one_seed_decides_nothing():
    it = compare(seeds=1)
    assert set(words(it).values()) == {"best", "not judged"}
    assert it.comparisons == 0
    assert set(it.short_of_baseline("digits")) == set(THREE)


def test_a_seed_that_misses_a_peak_lr_waits():
    it = compare(keep=lambda c: not (c["seed"] == 2 and c["peak_lr"] == PEAKS[0] and c["schedule"] == "linear"))
    cut = it.full("digits")["linear"].score
    assert [t.seed for t in cut.selected] == [0, 1]
    assert it.cut_short("digits", cut)
    assert not it.cut_short("digits", it.full("digits")["cosine"].score)
    assert it.full("digits")["linear"].behind.n == 2


def test_a_block_without_a_whole_seed_has_no_rank():
    it = compare(keep=lambda c: c["schedule"] != "linear" or c["peak_lr"] == PEAKS[c["seed"]])
    verdict = it.full("digits")["linear"]
    assert (verdict.rank, verdict.word, verdict.score.final) == (None, "not judged", None)
    assert it.standing("digits")[-1] == "linear"


def test_the_baseline_is_held_against_the_whole_interval():
    low = {"name": "majority class", "value": 0.905}
    assert compare(baseline=low).short_of_baseline("digits") == ["constant"]
    high = {"name": "zero weights", "value": 0.93}
    assert set(compare(direction="min", baseline=high).short_of_baseline("digits")) == {"linear", "cosine"}


def test_every_comparison_with_the_best_is_counted():
    assert compare().comparisons == 2 * 2


def test_strategies_are_named_by_what_is_not_usual():
    rows = ledger({"digits": task(("cosine",))})
    for r in rows:
        if r.kind == "cell" and r.payload["seed"] == 2:
            r.payload["optimizer"] = "adamw"
    assert Study.of(rows).of_task("digits") == ("cosine", "cosine with adamw")
    for r in rows:
        if r.kind == "cell" and r.payload["seed"] == 1:
            r.payload["weight_decay"] = 0.0
    assert "cosine with weight decay 0" in Study.of(rows).of_task("digits")


def test_mean_ranks_hold_strategies_against_equal_rivals():
    tasks = {"digits": task(THREE, (1.0,)), "vowels": task(THREE, (1.0,)), "scenes": task(THREE[:2], (1.0,))}
    every, shared = ranking.panels(Comparison(Study.of(ledger(tasks, known))))
    assert (every.strategies, every.tasks) == (THREE, ("digits", "vowels"))
    assert every.means == {1.0: ([3.0, 2.0, 1.0], 2)}
    assert (shared.strategies, shared.tasks) == (THREE[:2], tuple(tasks))
    assert shared.means == {1.0: ([2.0, 1.0], 3)}


def test_a_ledger_without_a_plan_is_refused():
    with pytest.raises(InputError, match="holds no plan row"):
        Study.of([row("cell", "c", {"task": "digits"})])


def test_the_synthetic_ledger_has_what_a_report_must_face():
    it = Comparison(Study.of(ledger({"digits": task()}, reached)))
    assert any(t.final is None for t in it.study.tries)
    assert any(v.identical for v in it.at("digits", 0.1).values())
    assert any(v.score.edges for v in it.full("digits").values())


def test_results_mark_the_first_and_what_is_better_than_the_reference_and_nothing_else():
    def outcome(name, strategy, budget, peak_lr, seed):
        ahead = {("a", "cosine"): 0.05, ("b", "constant"): 0.05, ("c", "cosine"): 0.0001}.get((name, strategy), 0.0)
        if (name, strategy) == ("d", "constant"):
            return None
        final = 0.9 + ahead + 0.001 * ((seed + 2 * len(strategy)) % 3)
        return final, final, final

    rows = ledger({name: task(("constant", "cosine"), (1.0,), (0.1,)) for name in "abcd"}, outcome=outcome, tied=())
    it = Comparison(Study.of(rows))
    marks = [{row[0].text: row[1].mark for row in tables.results(it, name).rows} for name in "abcd"]
    assert marks == [
        {"cosine": "first better", "constant": ""},
        {"constant": "first", "cosine": "worse"},
        {"cosine": "first", "constant": ""},
        {"cosine": "first better", "constant": ""},  # the reference diverged
    ]
