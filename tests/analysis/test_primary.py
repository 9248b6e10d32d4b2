"""The primary test: what is tested, what is left out and why, and the words that follow."""

import random

import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.protocol import reference, sequential, tries
from bench.analysis.protocol.answer import Answer
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.results import Study
from tests.analysis.rows import PEAKS, ledger, task

MARGIN = {"value": 0.01, "reason": "one point"}
NAMES = ("constant", "linear", "cosine", "step")
GAIN = {"constant": 0.0, "linear": 0.05, "cosine": 0.0, "step": -0.05}


def noise(*key):
    return random.Random(repr(key)).gauss(0, 1)


def outcome(gain=GAIN, spread=0.005):
    """Values with the best peak LR in the middle, and these gains over constant LR."""

    def see(name, strategy, budget, peak_lr, seed):
        value = 0.8 + gain[strategy] - 0.1 * (peak_lr != PEAKS[1]) + spread * noise(name, strategy, budget, seed)
        return value, value, value

    return see


def compare(tasks=("digits", "mnist5k"), see=None, seeds=8, primary=None, tied=(), anew=None, more=(), **facts):
    usual = {"budgets": (0.1, 0.25, 1.0), "seeds": seeds, "margin": MARGIN} | facts
    every = {name: task(NAMES, **usual) for name in tasks} | dict(more)
    declared = {"primary": {"budgets": [0.1, 0.25], "over": "all"} | (primary or {}), "reference": "constant"}
    return Comparison(Study.of(ledger(every, see or outcome(), tied, anew=anew, **declared)))


def words(comparison, **settings):
    return {h.strategy: h.word for h in PrimaryTest(comparison, **settings).hypotheses}


def test_words_of_strategies_with_known_gains():
    assert words(compare()) == {"linear": "better", "cosine": "equal", "step": "worse"}


def test_without_a_margin_nothing_is_equal():
    assert words(compare(margin=None))["cosine"] == "undecided"


def test_only_declared_budgets_are_tested():
    def late(name, strategy, budget, peak_lr, seed):
        gain = {**GAIN, "linear": 0.05 if budget == 1.0 else 0.0}
        return outcome(gain)(name, strategy, budget, peak_lr, seed)

    assert words(compare(see=late))["linear"] == "equal"
    assert words(compare(see=late, primary={"budgets": [1.0]}))["linear"] == "better"
    assert words(compare(see=late, primary={"budgets": []}))["linear"] == "better"  # each task's largest


def test_a_block_is_a_task_and_a_seed_whatever_the_number_of_budgets():
    for budgets in [0.1], [0.1, 0.25], [0.1, 0.25, 1.0]:
        test = PrimaryTest(compare(primary={"budgets": budgets}))
        assert {h.flip.blocks for h in test.hypotheses} == {16}


def test_the_wind_tunnel_is_never_tested():
    it = PrimaryTest(compare(more={"linreg": task(NAMES, budgets=(0.1, 0.25), seeds=8, family="tunnel")}))
    assert [(o.task, o.why) for o in it.omissions] == [("linreg", "wind tunnel")]
    assert all(h.tasks == ("digits", "mnist5k") for h in it.hypotheses)


def test_a_task_where_nothing_was_learnt_is_left_out():
    lazy = task(NAMES, budgets=(0.1, 0.25), seeds=8, margin=MARGIN, baseline={"name": "majority class", "value": 0.9})
    it = PrimaryTest(compare(more={"rte": lazy}))
    assert {(o.task, o.why, o.budget) for o in it.omissions} == {
        ("rte", "nothing learnt", 0.1),
        ("rte", "nothing learnt", 0.25),
    }
    assert all("rte" not in h.tasks for h in it.hypotheses)


def test_one_run_with_the_reference_is_no_evidence():
    tied = compare(tied=[("constant", "cosine")])  # at the smallest budget only
    it = PrimaryTest(tied)
    assert {(o.why, o.budget, o.strategy) for o in it.omissions} == {("identical run", 0.1, "cosine")}
    assert it.columns("digits", "cosine") == (0.25,)
    assert it.columns("digits", "linear") == (0.1, 0.25)
    only = PrimaryTest(compare(tied=[("constant", "cosine")], primary={"budgets": [0.1]}))
    assert "cosine" not in {h.strategy for h in only.hypotheses}


@pytest.mark.parametrize(("strategy", "left_out"), [("linear", {"linear"}), ("constant", {None})])
def test_a_choice_at_an_edge_takes_no_part(strategy, left_out):
    def rising(name, it, budget, peak_lr, seed):
        value = outcome()(name, it, budget, PEAKS[1], seed)[0]
        value -= 0.1 * (peak_lr != (PEAKS[2] if it == strategy else PEAKS[1]))
        return value, value, value

    it = PrimaryTest(compare(see=rising))
    assert {o.strategy for o in it.omissions} == left_out
    assert {o.why for o in it.omissions} == {"edge of the grid"}
    assert reference.standings(it.comparison, "digits", 0.1)["linear"].word == "edge of the grid"
    assert words(it.comparison, interior=False)["linear"] == "better"


def test_a_difference_of_stale_statistics_is_called_so():
    it = compare(anew=lambda final: 0.95)
    assert words(it) == {
        "linear": "BatchNorm statistics only",
        "cosine": "equal",
        "step": "BatchNorm statistics only",
    }
    standing = reference.standings(it, "digits", 0.25)
    assert standing["linear"].word == "BatchNorm statistics only"
    assert standing["linear"].recalibrated.mean == 0


def test_a_difference_in_both_readings_counts():
    it = compare(anew=lambda final: final + 0.01)
    assert words(it) == {"linear": "better", "cosine": "equal", "step": "worse"}
    assert reference.standings(it, "digits", 0.25)["linear"].word == "better"


def test_readings_that_disagree_in_sign_count_for_neither():
    it = compare(anew=lambda final: 1.6 - final)
    assert words(it)["linear"] == "BatchNorm statistics only"
    assert {h.p for h in PrimaryTest(it).hypotheses if h.strategy == "linear"} == {1.0}


def test_each_task_or_family_may_be_a_hypothesis():
    speech = task(NAMES, budgets=(0.1, 0.25), seeds=8, family="speech", margin=MARGIN)
    for over, groups in ("task", {"digits", "mnist5k", "vowels"}), ("family", {"image", "speech"}):
        it = PrimaryTest(compare(primary={"over": over}, more={"vowels": speech}))
        assert {h.group for h in it.hypotheses} == groups
        assert all(len(h.tasks) == (2 if h.group == "image" else 1) for h in it.hypotheses)


def test_hypotheses_that_cannot_be_significant_do_not_count():
    """One task with three seeds: no p can go below 1/4, and it costs the others nothing."""
    small = task(NAMES, budgets=(0.1, 0.25), seeds=3, margin=MARGIN)
    it = PrimaryTest(compare(tasks=("digits",), primary={"over": "task"}, more={"vowels": small}))
    assert {h.word for h in it.hypotheses if h.group == "vowels" and h.strategy != "cosine"} == {"too few blocks"}
    alone = PrimaryTest(compare(tasks=("digits",), primary={"over": "task"}))
    both = {h.strategy: h.adjusted for h in it.hypotheses if h.group == "digits"}
    assert both == {h.strategy: h.adjusted for h in alone.hypotheses}


def test_the_effect_is_in_margins_and_averages_tasks():
    it = compare(see=outcome(spread=0.001))
    h = next(h for h in PrimaryTest(it).hypotheses if h.strategy == "linear")
    assert h.effect.mean == pytest.approx(5, abs=0.1)
    assert 0 < h.effect.half < 0.1


def test_a_diverged_reference_is_beaten():
    def lost(name, strategy, budget, peak_lr, seed):
        return None if strategy == "constant" and seed == 0 else outcome()(name, strategy, budget, peak_lr, seed)

    assert reference.standings(compare(see=lost), "digits", 0.1)["cosine"].word == "better"


def test_undecided_says_how_many_seeds_would_decide():
    it = compare(see=outcome({**GAIN, "cosine": 0.004}, spread=0.02))
    standing = reference.standings(it, "mnist5k", 0.1)["cosine"]
    assert standing.word == "undecided"
    assert standing.seeds > 8


def test_bonferroni_widens_for_the_best_of_many():
    it = compare()
    one, many = (reference.standings(it, "digits", 0.25, tries=k)["linear"].lead for k in (1, 12))
    assert many.half > 1.4 * one.half
    assert many.mean == one.mean


# ------------------------------------------------------------------------------------------ sensitivity, looks


def test_a_lead_that_the_grid_makes_goes_with_more_tries():
    """Constant LR has its optimum between two of the three peak LRs that linear decay was tuned on."""

    def see(name, strategy, budget, peak_lr, seed):
        best = PEAKS[1] if strategy == "constant" else PEAKS[0]
        value = 0.8 - 0.1 * (peak_lr != best) + 0.005 * noise(name, strategy, budget, seed)
        return value, value, value

    by_tries = {line.tries: line for line in tries.sensitivity(compare(see=see))}
    assert by_tries[1].grids == 3
    assert by_tries[1].words["linear"] == {"better": 1, "worse": 1, "equal": 1}
    assert by_tries[3].words["linear"] == {"equal": 1}
    assert 5 not in by_tries


def test_looks_spend_the_level_and_what_is_decided_stays():
    looks = [4, 8]
    it = compare(seeds=8)
    assert sequential.undecided_tasks(it, looks, 1) == set()
    first = sequential.first_seeds(it, 4)
    assert {t.seed for t in first.study.tries} == {0, 1, 2, 3}
    assert sequential.undecided_tasks(compare(margin=None), looks, 1) == {"digits", "mnist5k"}  # cosine


def test_equal_is_said_at_a_look_by_an_interval_that_holds_at_all_of_them():
    it = compare(see=outcome(dict.fromkeys(NAMES, 0.0), spread=0.008), seeds=8)
    first, looks = sequential.first_seeds(it, 4), [4, 8]
    assert words(first)["cosine"] == "equal"
    assert words(first, level=1 - 0.05 / 4)["cosine"] == "undecided"  # a quarter is what four of eight seeds may spend
    assert sequential.undecided_tasks(it, looks, 0) == {"digits", "mnist5k"}


def test_tasks_where_the_undecided_strategy_is_equal_need_no_more_seeds():
    def see(name, strategy, budget, peak_lr, seed):
        wild = {"mnist5k": 0.05}.get(name, 0.002)
        return outcome({**GAIN, "cosine": 0.0}, spread=wild)(name, strategy, budget, peak_lr, seed)

    assert sequential.undecided_tasks(compare(see=see), [8, 16], 0) == {"mnist5k"}


# ------------------------------------------------------------------------------------------------ the answer


def test_the_answer_takes_the_largest_effect_of_what_is_better():
    it = Answer(compare())
    assert (it.outcome, it.best.strategy, it.tied) == ("take", "linear", ())
    assert [line.task for line in it.forest] == ["digits", "mnist5k"]
    assert it.invisible < 1
    assert {(a.task, a.strategy) for a in it.advice} == {("digits", "linear"), ("mnist5k", "linear")}


def test_the_answer_keeps_what_nothing_beats():
    assert Answer(compare(see=outcome({**GAIN, "linear": -0.05}))).outcome == "keep"
    assert Answer(compare(see=outcome(dict.fromkeys(NAMES, 0.0)))).outcome == "equal"
    assert Answer(compare(seeds=1)).outcome == "untested"
    assert Answer(compare(see=outcome(dict.fromkeys(NAMES, 0.0), spread=0.1))).outcome == "undecided"


def test_strategies_as_good_as_the_best_are_named():
    it = Answer(compare(see=outcome({**GAIN, "cosine": 0.05})))
    assert {it.best.strategy, *it.tied} == {"linear", "cosine"}
