"""Claims: small ledgers in which each verdict must come out, and the page that says so."""

import random

import pytest

from bench.analysis import claims
from bench.analysis.claims.claim_tasks import entries
from bench.analysis.claims.lr_cost import Costs
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.cli import main
from bench.contract import InputError
from bench.ledger import ledger as record
from bench.report.sections import claims as judgement
from tests.analysis.histories import with_evaluations
from tests.analysis.rows import ledger, task
from tests.runs import attempt

FIVE = ("constant", "step", "linear", "cosine", "rex", "wsd")
DECAYS = FIVE[1:]


def noise(*said):
    return 0.002 * random.Random(repr(said)).gauss(0, 1)


def better(**shifts):
    """Outcome where decays are better than constant LR by so much, at every peak LR but 0.3, which costs 0.05."""

    def outcome(name, strategy, budget, peak_lr, seed):
        final = 0.8 + shifts.get(strategy, 0.0) - 0.05 * (peak_lr == 0.3) + noise(name, strategy, peak_lr, seed)
        return final, final, final

    return outcome


def rows(outcome, seeds=8, name="digits", **changes):
    return ledger({name: task(FIVE, (1.0,), seeds=seeds, **changes)}, outcome=outcome, tied=())


def compared(*args, **kwargs):
    return Comparison(Study.of(rows(*args, **kwargs)))


def panel(it, measure=claims.quality):
    return claims.panel(entries({"run": it}), measure)


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
    assert (found.blocks, found.tasks, set(found.flips)) == (8, ("digits",), set(DECAYS))
    assert set(found.significant(1)) == {s for s, by in shifts.items() if by > 0}


def test_what_too_few_seeds_show_is_not_clear_and_one_seed_is_not_tested():
    few = panel(compared(better(**ALL), seeds=3))
    assert (few.word, few.blind) == ("not clear", True)
    assert not panel(compared(better(**ALL))).blind
    assert panel(compared(better(**ALL), seeds=1)).word == "not tested"


def test_lower_is_better_where_the_task_says_so():
    found = panel(compared(better(**ALL), direction="min"))
    assert found.word == "does not hold"


def course(gap, fall):
    """Decays end with that much more gap, and with norms that fall by so many octaves more."""

    def training(cell, progress):
        decay = cell["schedule"] != "constant"
        shake = noise(cell["cell"], "course")
        return 0.2, 2.0 ** (-(1 + fall * decay + shake) * (progress > 0.5)), 0.4 + gap * decay + shake

    return training


@pytest.mark.parametrize(
    ("gap", "fall", "less", "kept"), [(-0.1, -1, "holds", "holds"), (0.1, 1, *["does not hold"] * 2)]
)
def test_gaps_and_gradient_norms_are_judged_by_their_own_differences(gap, fall, less, kept):
    it = Comparison(Study.of(with_evaluations(rows(better()), 30, course(gap, fall))))
    assert panel(it, claims.overfitting).word == less
    assert panel(it, claims.gradients).word == kept


def test_what_was_not_recorded_is_not_tested():
    assert panel(compared(better()), claims.gradients).word == "not tested"


def test_a_decay_that_few_tasks_ran_is_not_in_the_panel():
    tasks = {name: task(FIVE[:3], (1.0,), seeds=8) for name in ("a", "b", "c")}
    tasks["a"] = task(FIVE, (1.0,), seeds=8)
    found = panel(Comparison(Study.of(ledger(tasks, outcome=better(), tied=()))))
    assert set(found.flips) == {"step", "linear"}
    assert found.blocks == 24


# --------------------------------------------------------------------------------------- shares of pairs


@pytest.mark.parametrize(
    ("seen", "word"), [(5, "holds"), (4, "holds in part"), (1, "holds in part"), (0, "does not hold")]
)
def test_shares_of_pairs_give_each_verdict(seen, word):
    assert claims.Pairs(seen, 10, 1).word == word
    assert claims.Pairs(0, 0, 0).word == "not tested"


def test_tuning_is_needed_where_a_peak_lr_of_the_grid_is_clearly_worse():
    def alike(name, strategy, budget, peak_lr, seed):
        return (0.8 + 0.001 * (seed % 3),) * 3

    assert claims.tuning(entries({"run": compared(better())})) == (5, 5, 1)
    assert claims.tuning(entries({"run": compared(alike)})) == (0, 5, 1)


def test_a_rate_is_missed_where_control_misleads_and_where_it_points_out_of_the_grid():
    def misled(name, strategy, budget, peak_lr, seed):
        """On control the highest peak LR is best, on test the lowest."""
        control, final = 0.8 + peak_lr / 10, 0.8 - peak_lr / 10
        return control, final + noise(strategy, peak_lr, seed), final

    regret, edge = claims.missing(entries({"run": compared(misled)}))
    assert (regret, edge) == ((5, 5, 1), (5, 5, 1))
    regret, _ = claims.missing(entries({"run": compared(better())}))
    assert regret == (0, 5, 1)


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
    assert claims.untuned([optimized(rows(better()), shift)]) == (seen, 1, 1)


@pytest.mark.parametrize(("cosine", "word"), [(5.0, "does not hold"), (10.0, "holds")])
def test_costs_are_shares_of_an_update(cosine, word):
    costs = Costs({"digits": 1000.0}, {"constant": 99.0, "cosine": cosine})
    assert claims.costly(costs).word == word


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
    assert entry.decays() == {s: f"{s} with weight decay 0.0005" for s in DECAYS}


# --------------------------------------------------------------------------------------------------- page


@pytest.fixture
def runs(tmp_path):
    """Two runs on the disk, and a table of costs."""
    speech = rows(better(), name="vowels", family="speech")
    for name, found in (("one", with_evaluations(rows(better(**ALL)), 30, course(-0.1, 0))), ("two", speech)):
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
    assert said["Higher quality for the same epochs, with decay", "image"] == "holds"
    assert said["Higher quality for the same epochs, with decay", "speech"] == "not clear"
    assert said["Higher quality for the same epochs, with decay", "detection"] == "not tested"
    assert said["Decay avoids overfitting", "all families"] == "holds"
    assert said["Decay keeps gradients from vanishing", "all families"] == "not clear"
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
    assert main.main([*command, "--costs", str(runs / costs)]) == main.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not (runs / "out.md").exists()


def test_the_command_writes_the_page(runs):
    assert main.main(["claims", str(runs / "one"), str(runs / "two"), "--out", str(runs / "out.md")]) == 0
    judgement.write([runs / "one", runs / "two"], runs / "again.md")
    assert (runs / "out.md").read_bytes() == (runs / "again.md").read_bytes()
