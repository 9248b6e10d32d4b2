"""Claims: small ledgers in which each verdict must come out, and the page that says so."""

import random

import numpy as np
import pytest

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.results import Study
from bench.analysis.stats.swaps import swap_test
from bench.analysis.stats.tests import sign_flip
from bench.analysis.textbook import claims, lr_choice
from bench.analysis.textbook.claim_tasks import entries
from bench.analysis.textbook.lr_cost import Costs
from bench.cli import main
from bench.contract import InputError
from bench.ledger import ledger as record
from bench.report.textbook import claims as judgement
from tests.analysis.histories import with_evaluations
from tests.analysis.rows import ledger, task
from tests.runs import attempt

FIVE = ("constant", "step", "linear", "cosine", "rex", "wsd")
DECAYS = FIVE[1:]
MARGIN = {"value": 0.01, "reason": "one point"}
LAZY = {"name": "majority class", "value": 0.95}


def noise(*said):
    return 0.002 * random.Random(repr(said)).gauss(0, 1)


def better(**shifts):
    """Outcome where decays are better than constant LR by so much, at every peak LR but the outer ones of `PEAKS`."""

    def outcome(name, strategy, budget, peak_lr, seed):
        final = 0.8 + shifts.get(strategy, 0.0) - 0.05 * (peak_lr != 0.1) + noise(name, strategy, peak_lr, seed)
        return final, final, final

    return outcome


def rows(outcome, seeds=8, names=("digits",), tied=(), anew=None, more=(), **changes):
    tasks = {name: task(FIVE, (1.0,), seeds=seeds, **changes) for name in names} | dict(more)
    return ledger(tasks, outcome=outcome, tied=tied, anew=anew)


def compared(*args, **kwargs):
    return Comparison(Study.of(rows(*args, **kwargs)))


def panel(it, measure=claims.quality):
    return claims.panels({"here": entries({"run": it})}, measure)["here"]


ALL = dict.fromkeys(DECAYS, 0.02)


@pytest.mark.parametrize(
    ("word", "shifts"),
    [
        ("holds", ALL),
        ("holds", {"step": 0.02, "linear": 0.02, "cosine": 0.02}),
        ("holds in part", {"cosine": 0.02}),
        ("mixed", ALL | {"step": -0.02}),
        ("does not hold", {"step": -0.02}),
        ("not clear", {}),
    ],
)
def test_tests_against_constant_lr_give_each_verdict(word, shifts):
    found = panel(compared(better(**shifts)))
    assert found.word == word
    assert (found.blocks, found.tasks, {h.strategy for h in found.hypotheses}) == (8, ("digits",), set(DECAYS))
    assert {h.strategy for h in found.of("better")} == {s for s, by in shifts.items() if by > 0}


def test_within_a_margin_is_equal_however_sure():
    assert panel(compared(better(), margin=MARGIN)).word == "equal"
    assert panel(compared(better(**dict.fromkeys(DECAYS, 0.004)), margin=MARGIN)).word == "equal"
    assert panel(compared(better(**ALL), margin=MARGIN)).word == "holds"


def test_too_few_blocks_say_so_and_one_seed_is_not_tested():
    assert panel(compared(better(**ALL), seeds=3)).word == "too few blocks"
    assert panel(compared(better(**ALL), seeds=1)).word == "not tested"


def test_lower_is_better_where_the_task_says_so():
    def turned(*cell):
        final = 1.6 - better(**ALL)(*cell)[0]
        return final, final, final

    assert panel(compared(turned, direction="min", baseline=None)).word == "holds"


def test_stale_statistics_are_no_quality():
    assert panel(compared(better(**ALL), anew=lambda final: 0.8)).word == "BatchNorm statistics only"
    assert panel(compared(better(**ALL), anew=lambda final: final + 0.01)).word == "holds"


def test_a_verdict_that_rests_on_one_task_says_so():
    """Step is worse in `a`; in `b` it is the run of constant LR, which is no evidence."""
    alone = panel(compared(better(step=-0.02), names=("a",)))
    assert (alone.word, alone.alone) == ("does not hold", "a")
    everywhere = panel(compared(better(step=-0.02), names=("a", "b")))
    assert (everywhere.word, everywhere.alone) == ("does not hold", None)
    (step,) = everywhere.of("worse")
    assert step.tasks == ("a", "b")


def test_identical_runs_count_neither_for_nor_against():
    tied = panel(compared(better(step=-0.02), names=("a", "b", "c"), tied=(("constant", "step"),)))
    assert tied.word == "not clear"
    assert "step" not in {h.strategy for h in tied.hypotheses}


def test_tasks_where_nothing_was_learnt_count_neither_for_nor_against():
    it = compared(better(**ALL), more={"rte": task(FIVE, (1.0,), seeds=8, baseline=LAZY)})
    for measure in claims.quality, claims.sensitivity:
        assert panel(it, measure).tasks == ("digits",)
    tasks = entries({"run": it})
    assert (lr_choice.tuning(tasks).tasks, lr_choice.missing(tasks).unstated) == (1, 5)


def test_each_family_is_tested_and_all_are_corrected_together():
    """Eight seeds are enough for five decays of one family, and for no more."""
    it = compared(better(**ALL), more={"vowels": task(FIVE, (1.0,), seeds=8, family="speech")})
    tasks = entries({"run": it})
    places = {family: [e for e in tasks if e.family == family] for family in ("image", "speech", "text")}
    every = claims.panels(places, claims.quality)
    assert {place: found.word for place, found in every.items()} == {
        "image": "too few blocks",
        "speech": "too few blocks",
        "text": "not tested",
    }
    assert claims.panels({"image": places["image"]}, claims.quality)["image"].word == "holds"


def test_tasks_of_several_ledgers_join_in_one_test():
    """It is the primary test of a ledger that holds both."""
    see = better(cosine=0.004)
    apart = entries({name: compared(see, names=(name,)) for name in ("a", "b")})
    found = claims.panels({"all": apart}, claims.quality)["all"].hypotheses
    assert found == PrimaryTest(compared(see, names=("a", "b"))).hypotheses


def test_declared_budgets_are_pooled_as_in_the_primary_test():
    facts = {"digits": task(FIVE, (0.1, 0.25, 1.0), seeds=8)}
    declared = {"primary": {"budgets": [0.1, 0.25], "over": "all"}, "reference": "constant"}
    it = Comparison(Study.of(ledger(facts, better(cosine=0.004), (), **declared)))
    assert claims.panels({"all": entries({"run": it})}, claims.quality)["all"].hypotheses == PrimaryTest(it).hypotheses
    (entry,) = entries({"run": it})
    assert entry.budget == 0.25
    other = {"primary": {"budgets": [0.5], "over": "all"}, "reference": "constant"}
    assert entries({"run": Comparison(Study.of(ledger(facts, better(), (), **other)))}) == []


def course(gap):
    """Decays end with that much more gap."""

    def training(cell, progress):
        return 0.2, 1.0, 0.4 + gap * (cell["schedule"] != "constant") + noise(cell["cell"], "course")

    return training


@pytest.mark.parametrize(("gap", "word"), [(-0.1, "holds"), (0.1, "does not hold"), (0.0, "not clear")])
def test_gaps_are_judged_by_their_own_differences(gap, word):
    it = Comparison(Study.of(with_evaluations(rows(better()), 30, course(gap))))
    assert panel(it, claims.overfitting).word == word


def test_gaps_of_all_runs_are_swapped():
    it = Comparison(Study.of(with_evaluations(rows(better()), 30, course(-0.1))))
    (entry,) = entries({"run": it})
    blocks = claims.overfitting(entry, "cosine")
    curves = blocks.curves["final"]
    scores = [entry.score(name) for name in ("cosine", "constant")]
    gaps = [
        [[entry.diagnostics.gap(t) for t in score.tries if t.peak_lr == p] for p in score.peak_lrs] for score in scores
    ]
    assert np.array_equal(curves.test[..., 0], -np.array(gaps))
    assert curves.test.shape == (2, 3, 8, 1)
    assert swap_test([curves]).effect == pytest.approx(sign_flip([blocks.pooled["final"]]).effect)


def test_a_gap_of_stale_statistics_is_no_overfitting():
    """Recalibrated, all have a test loss of 0.3."""
    it = Comparison(Study.of(with_evaluations(rows(better(), anew=lambda final: final), 30, course(-0.1))))
    assert panel(it, claims.overfitting).word == "BatchNorm statistics only"


def test_what_was_not_recorded_is_not_tested():
    assert panel(compared(better()), claims.overfitting).word == "not tested"


def test_a_decay_that_few_tasks_ran_is_not_in_the_panel():
    tasks = {name: task(FIVE[:3], (1.0,), seeds=8) for name in ("a", "b", "c")}
    tasks["a"] = task(FIVE, (1.0,), seeds=8)
    found = panel(Comparison(Study.of(ledger(tasks, outcome=better(), tied=()))))
    assert {h.strategy for h in found.hypotheses} == {"step", "linear"}
    assert set(found.rest) == {"cosine", "rex", "wsd"}
    assert found.blocks == 24


# ------------------------------------------------------------------------------------- the choice of peak LRs


def steep(decay, constant):
    """The outer peak LRs cost so much with a decay, and with constant LR."""

    def outcome(name, strategy, budget, peak_lr, seed):
        loss = (constant if strategy == "constant" else decay) * (peak_lr != 0.1)
        final = 0.8 - loss + noise(name, strategy, peak_lr, seed)
        return final, final, final

    return outcome


@pytest.mark.parametrize(
    ("decay", "constant", "word", "said"),
    [
        (0.10, 0.02, "holds", "holds"),
        (0.02, 0.10, "does not hold", "does not hold"),
        (0.05, 0.05, "equal", "does not hold"),
    ],
)
def test_hyperparameters_are_needed_where_decays_lose_more_by_them_than_constant_lr(decay, constant, word, said):
    tasks = entries({"run": compared(steep(decay, constant), margin=MARGIN)})
    found = claims.panels({"all": tasks}, claims.sensitivity)["all"]
    assert found.word == word
    assert judgement.tuned(tasks, found, lr_choice.Pairs(0, 0, 0)).word == said


def test_without_a_margin_an_equal_need_is_not_clear():
    assert panel(compared(steep(0.05, 0.05)), claims.sensitivity).word == "not clear"


def test_the_loss_by_a_peak_lr_left_to_chance_is_the_mean_over_the_grid():
    def exact(name, strategy, budget, peak_lr, seed):
        if peak_lr == 0.3 and strategy == "step":
            return None  # the worst value stands in: 0.7
        return ({0.03: 0.7, 0.1: 0.8, 0.3: 0.75}[peak_lr],) * 3

    (entry,) = entries({"run": compared(exact)})
    for strategy, loss in ("cosine", 0.05), ("step", 0.2 / 3):
        losses = claims.untuned_loss(entry, entry.score(strategy))
        assert losses == pytest.approx(dict.fromkeys(range(8), loss))


def test_counts_of_pairs_are_of_decays_or_of_constant_lr():
    def alike(name, strategy, budget, peak_lr, seed):
        return (0.8 + 0.001 * (seed % 3),) * 3

    assert lr_choice.tuning(entries({"run": compared(better())})) == (5, 5, 1)
    assert lr_choice.tuning(entries({"run": compared(better())}), constant=True) == (1, 1, 1)
    assert lr_choice.tuning(entries({"run": compared(alike)})) == (0, 5, 1)


def misled(by):
    """On control the middle peak LR is best, on test the lowest, by so much."""

    def outcome(name, strategy, budget, peak_lr, seed):
        control = 0.8 - 0.05 * (peak_lr != 0.1)
        final = 0.8 + by * (peak_lr == 0.03) - 0.05 * (peak_lr == 0.3) + noise(strategy, peak_lr, seed)
        return control, final, final

    return outcome


@pytest.mark.parametrize(
    ("by", "miss", "word"),
    [(0.03, "missed", "holds"), (0.0, "within the margin", "does not hold"), (0.01, "open", "not clear")],
)
def test_the_best_rate_is_missed_where_control_misleads_by_more_than_a_margin(by, miss, word):
    found = lr_choice.missing(entries({"run": compared(misled(by), margin=MARGIN)}))
    assert (found.word, found.number(miss), found.tasks) == (word, 5, 1)


def test_a_choice_at_an_edge_shows_no_regret_and_none_can_be_said_without_margins():
    def rising(name, strategy, budget, peak_lr, seed):
        return (0.8 + peak_lr / 10 + noise(strategy, peak_lr, seed),) * 3

    found = lr_choice.missing(entries({"run": compared(rising, margin=MARGIN)}))
    assert (found.word, found.number("edge of the grid")) == ("not clear", 5)
    unstated = lr_choice.missing(entries({"run": compared(misled(0.03))}))
    assert (unstated.word, unstated.unstated) == ("not testable with this measure", 5)
    assert lr_choice.missing([]).word == "not tested"


@pytest.mark.parametrize(
    ("seen", "word"), [(5, "holds"), (4, "holds in part"), (1, "holds in part"), (0, "does not hold")]
)
def test_shares_of_pairs_give_each_verdict(seen, word):
    assert lr_choice.Pairs(seen, 10, 1).word == word
    assert lr_choice.Pairs(0, 0, 0).word == "not tested"


def optimized(found, shift):
    """Beside each cell of constant LR one of Prodigy, whose LR of 1 stands where 0.1 stood; others are far worse."""
    more = []
    for r in found:
        it = r.payload
        if r.kind == "cell" and it["schedule"] == "constant":
            lr = 10 * it["peak_lr"]
            final = {"accuracy": 0.8 + shift + noise(it["cell"]) - 0.3 * (lr != 1.0), "loss": 0.3}
            new = it | {"cell": it["cell"] + "p", "optimizer": "prodigy", "peak_lr": lr, "final": final}
            more.append(r._replace(key=new["cell"], payload=new))
    return Comparison(Study.of([*found, *more]))


@pytest.mark.parametrize(("shift", "seen"), [(-0.1, 1), (0.0, 0)])
def test_optimizers_without_a_tuned_lr_are_held_against_the_best_decay_at_their_own(shift, seen):
    assert lr_choice.untuned([optimized(rows(better()), shift)]) == (seen, 1, 1)


@pytest.mark.parametrize(("cosine", "word"), [(5.0, "does not hold"), (10.0, "holds")])
def test_costs_are_shares_of_an_update(cosine, word):
    costs = Costs({"digits": 1000.0}, {"constant": 99.0, "cosine": cosine})
    assert lr_choice.costly(costs).word == word


# ------------------------------------------------------------------------------------------------ entries


def test_a_task_is_judged_from_the_ledger_with_most_seeds_once():
    few, many = compared(better(), seeds=3), compared(better(), seeds=8)
    (entry,) = entries({"few": few, "many": many})
    assert entry.ledger == "many"
    (entry,) = entries({"one": few, "two": few})
    assert entry.ledger == "one"


def test_the_wind_tunnel_and_other_references_take_no_part():
    assert entries({"tunnel": compared(better(), family="tunnel")}) == []
    planned = [
        r._replace(payload=r.payload | {"reference": "cosine"}) if r.kind == "plan" else r for r in rows(better())
    ]
    assert entries({"cosine": Comparison(Study.of(planned))}) == []


def test_decays_of_another_weight_decay_are_others():
    usual = rows(better())
    other = [r._replace(key=r.key + "w", payload=r.payload | {"weight_decay": 0.5}) for r in usual if r.kind == "cell"]
    (entry,) = entries({"run": Comparison(Study.of([*usual, *other]))})
    assert entry.decays() == list(DECAYS)


# --------------------------------------------------------------------------------------------------- page


@pytest.fixture
def runs(tmp_path):
    """Two runs on the disk, and a table of costs."""
    speech = rows(better(), names=("vowels",), seeds=12, family="speech")
    image = with_evaluations(rows(better(**ALL), seeds=12), 30, course(-0.1))
    for name, found in (("one", image), ("two", speech)):
        with_plan = [(r.kind, r.key, r.payload) for r in found if r.kind != "attempt"]
        book = record.Ledger(tmp_path / name, attempt(plan="plan0", fingerprint="f"))
        for kind, key, payload in with_plan:
            book.append(kind, key, payload)
        book.close()
    (tmp_path / "cost.csv").write_text("of,name,microseconds\nupdate,digits,700\ndecision,constant,1\ndecision,rex,2\n")
    return tmp_path


def test_the_page_says_every_verdict_and_the_same_ledgers_give_the_same_bytes(runs):
    for out in ("a.md", "b.md"):
        judgement.write([runs / "one", runs / "two"], runs / out, runs / "cost.csv")
    text = (runs / "a.md").read_text()
    assert (runs / "b.md").read_text() == text
    lines = (line.strip("| ").split(" | ") for line in text.splitlines())
    said = {(cells[0], cells[1]): cells[2].strip("*") for cells in lines if len(cells) == 5}
    assert said["Higher quality for the same epochs, with decay", "image"] == "holds, of one task"
    assert said["Higher quality for the same epochs, with decay", "speech"] == "not clear, of one task"
    assert said["Higher quality for the same epochs, with decay", "detection"] == "not tested"
    assert said["Decay avoids overfitting", "all families"] == "holds, of one task"
    assert said["Decay keeps gradients from vanishing", "all families"] == "not testable with this measure"
    assert said["Decay may miss the best rate", "all families"] == "not testable with this measure"
    assert said["Decay costs compute", "all families"] == "does not hold"


def test_without_costs_compute_is_not_tested(runs):
    judgement.write([runs / "one"], runs / "out.md")
    assert "| Decay costs compute | all families | not tested |" in (runs / "out.md").read_text()


@pytest.mark.parametrize("text", ["", "of,name\nupdate,digits\n", "of,name,microseconds\nupdate,digits,fast\n"])
def test_costs_that_cannot_be_read_are_refused(tmp_path, text):
    (tmp_path / "cost.csv").write_text(text)
    with pytest.raises(InputError, match=r"columns of, name and microseconds"):
        Costs.read(tmp_path / "cost.csv")


@pytest.mark.parametrize(
    ("names", "costs", "says"),
    [
        (("one", "one"), "cost.csv", "differ in name"),
        (("absent",), "cost.csv", "absent"),
        (("one",), "absent.csv", "absent.csv should be a table"),
    ],
)
def test_bad_input_is_one_line(runs, capsys, names, costs, says):
    command = ["claims", *(str(runs / name) for name in names), "--out", str(runs / "out.md")]
    assert main.main([*command, "--costs", str(runs / costs)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not (runs / "out.md").exists()


def test_the_command_writes_the_page(runs):
    assert main.main(["claims", str(runs / "one"), str(runs / "two"), "--out", str(runs / "out.md")]) == 0
    judgement.write([runs / "one", runs / "two"], runs / "again.md")
    assert (runs / "out.md").read_bytes() == (runs / "again.md").read_bytes()
