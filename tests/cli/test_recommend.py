"""`glideslope recommend`: every outcome, in one paragraph; the ledgers that it counts; the command for missing data."""

import argparse
import shlex

import pytest

from bench.analysis.recommend import evidence as at
from bench.analysis.recommend.evidence import at_hand, gather
from bench.analysis.recommend.recommendation import Recommendation
from bench.analysis.stats.intervals import Interval
from bench.cli import main, run
from bench.cli.options import Parser
from bench.ledger import ledger as ledgers
from bench.ledger.deposit import deposit
from bench.plan.plan import updates
from bench.report.sections.missing_run import command
from bench.report.sections.recommendation_table import resolved_value
from bench.runner.config import prepare
from tests.analysis.rows import ledger, task
from tests.analysis.test_published import TASK, imported
from tests.runs import ROOT

FEW = ("constant", "step", "cosine")
MARGIN = {"value": 0.01, "reason": "a point"}
PEAKS = (0.1, 0.3, 1.0)
NOISE = (1, -1, 2, -2, 1, -1, 0, 0)
"""Differences between seeds, of mean 0."""


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def leads(gains, noise=0.001, best_peak=0.3, sign=1):
    """Outcome of cells: each strategy's gain over 0.7, the seed's noise, and less beside the best peak LR."""

    def outcome(name, strategy, budget, peak_lr, seed):
        own = noise * NOISE[(seed + 3 * FEW.index(strategy)) % 8] if strategy in FEW else 0.0
        value = 0.7 + sign * (gains.get(strategy, 0.0) + own - 0.1 * abs(peak_lr - best_peak))
        return value, value, value

    return outcome


def held(directory, gains, *, name="digits", names=FEW, seeds=8, budgets=(0.5, 1.0), **more):
    """A ledger of one task whose strategies end as much better as `gains` says."""
    kinds = {key: more.pop(key) for key in ("noise", "best_peak", "sign") if key in more}
    rest = {key: more.pop(key) for key in ("outcome", "keep", "anew") if key in more}
    outcome = rest.pop("outcome", leads(gains, **kinds))
    facts = task(names, budgets, peak_lrs=PEAKS, seeds=seeds, **{"margin": MARGIN, "epochs": 30} | more)
    deposit(directory, ledger({name: facts}, outcome, tied=(), **rest))
    return directory


def raw(capsys, *arguments, code=0):
    assert main.main(["recommend", *map(str, arguments)]) == code
    done = capsys.readouterr()
    return done.out if code == 0 else done.err


def said(capsys, *arguments):
    return " ".join(raw(capsys, *arguments).split())


def of_digits(capsys, directory, *more, epochs=30):
    return said(capsys, "--task", "digits", "--epochs", epochs, "--ledger", directory, *more)


def commands(text):
    """Options of every printed command, as the project's own parser reads them."""
    parser = Parser()
    run.arguments(parser)
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("glideslope run ")]
    return [parser.parse_args(shlex.split(line)[2:]) for line in lines]


# ------------------------------------------------------------------------------------------- outcomes of a task


def test_a_clear_best_is_to_be_taken_with_its_lead_and_peak_lr(tmp_path, capsys):
    text = of_digits(capsys, held(tmp_path / "a", {"cosine": 0.05}))
    assert text.startswith("Take cosine at peak LR 0.3 for digits at 30 epochs: it ends 0.0500 ±")
    assert "ahead of constant in accuracy, more than the 0.01 worth having" in text
    assert f"(95 % interval for the best of 2 tried, 8 seeds of {tmp_path / 'a'})" in text
    assert "Not told apart" not in text
    assert not commands(text)


def test_what_is_not_told_apart_from_the_best_is_named(tmp_path, capsys):
    text = of_digits(capsys, held(tmp_path / "a", {"cosine": 0.05, "step": 0.049}))
    assert text.startswith("Take cosine")
    assert "Not told apart from it: step." in text


def test_the_reference_is_kept_where_everything_else_is_worse(tmp_path, capsys):
    text = of_digits(capsys, held(tmp_path / "a", {"cosine": -0.05, "step": -0.06}))
    assert text.startswith("Keep constant at peak LR 0.3 for digits at 30 epochs: nothing tried is better.")
    assert "The next, cosine, ends 0.0500 ±" in text
    assert "behind constant in accuracy" in text


def test_any_will_do_where_all_are_equal_and_one_that_is_not_is_left_out(tmp_path, capsys):
    text = of_digits(capsys, held(tmp_path / "a", {"cosine": 0.001}))
    assert text.startswith("Any of the 3 strategies will do for digits at 30 epochs: cosine ends")
    assert "less than the 0.01 worth having" in text
    text = of_digits(capsys, held(tmp_path / "b", {"cosine": 0.001, "step": -0.1}))
    assert text.startswith("Any of constant or cosine will do")


def test_an_undecided_task_says_how_many_seeds_would_decide_and_prints_their_command(tmp_path, capsys):
    directory = held(tmp_path / "a", {"cosine": 0.02}, noise=0.02)
    text = raw(capsys, "--task", "digits", "--epochs", 30, "--ledger", directory)
    (args,) = commands(text)
    assert " ".join(text.split()).startswith("Undecided for digits at 30 epochs: cosine at peak LR 0.3 leads, 0.0")
    assert f"About {args.seeds} seeds would decide." in " ".join(text.split())
    assert args.seeds > 8
    assert "roughly 1 minute of CPU time" in text


def test_a_lead_in_batchnorm_statistics_only_is_none(tmp_path, capsys):
    def same(name, strategy, *cell):  # the running statistics are off for constant alone
        return leads({"cosine": 0.05, "step": 0.05})(name, strategy, *cell)

    directory = held(tmp_path / "a", {}, outcome=same, anew=lambda final: 0.7)
    text = of_digits(capsys, directory)
    assert text.startswith("Undecided for digits at 30 epochs: ")
    assert "by BatchNorm statistics only" in text


def test_a_peak_lr_at_an_edge_asks_for_a_wider_grid(tmp_path, capsys):
    directory = held(tmp_path / "a", {"cosine": 0.05}, best_peak=1.0)
    text = raw(capsys, "--task", "digits", "--epochs", 30, "--ledger", directory)
    assert "but the grid of peak LRs is too narrow to tell" in " ".join(text.split())
    assert "Widen it with --tune" in " ".join(text.split())
    (args,) = commands(text)
    assert args.peak_lrs == (0.1, 0.3, 1.0, 3.3)


def test_nothing_learnt_recommends_nothing(tmp_path, capsys):
    baseline = {"name": "majority class", "value": 0.9}
    text = of_digits(capsys, held(tmp_path / "a", {"cosine": 0.05}, baseline=baseline))
    assert text.startswith("Nothing can be recommended for digits at 30 epochs: no strategy is shown to get beyond")


def test_a_metric_that_shrinks_is_better_below(tmp_path, capsys):
    directory = held(tmp_path / "a", {"cosine": 0.05}, sign=-1, direction="min", baseline=None)
    text = of_digits(capsys, directory)
    assert text.startswith("Take cosine at peak LR 0.3 for digits at 30 epochs: it ends 0.0500 ±")


def test_without_a_margin_nothing_is_equal_and_no_margin_is_named(tmp_path, capsys):
    text = of_digits(capsys, held(tmp_path / "a", {"cosine": 0.0002}, margin=None))
    assert text.startswith("Undecided")
    assert "worth having" not in text


def test_a_strategy_that_diverged_is_named_and_never_taken(tmp_path, capsys):
    def outcome(name, strategy, budget, peak_lr, seed):
        return (
            None
            if strategy == "step" and seed == 1
            else leads({"cosine": 0.05, "step": 0.2})(name, strategy, budget, peak_lr, seed)
        )

    text = of_digits(capsys, held(tmp_path / "a", {}, outcome=outcome))
    assert text.startswith("Take cosine")
    assert "Diverged in some seed: step." in text


# ----------------------------------------------------------------------------------------- too little to go by


@pytest.mark.parametrize(
    ("epochs", "more", "says", "seeds"),
    [
        (30, {"seeds": 3}, "3 seeds, 6 or more are needed", 6),
        (30, {"seeds": 1}, "1 seed, 6 or more are needed", 6),
        (150, {}, "the nearest budget, 30 epochs, is off by 5 times", 8),
        (30, {"keep": lambda cell: cell["schedule"] == "constant"}, "only one strategy was run", 8),
        (30, {"keep": lambda cell: cell["schedule"] != "constant"}, "the reference, constant, was not run", 8),
        (30, {"keep": lambda cell: False}, "no ledger at hand has a result on digits", 6),
    ],
)
def test_too_little_data_is_told_with_the_command_that_gets_it(tmp_path, capsys, epochs, more, says, seeds):
    directory = held(tmp_path / "a", {"cosine": 0.05}, **more)
    text = raw(capsys, "--task", "digits", "--epochs", epochs, "--ledger", directory)
    assert text.startswith("Not enough data")
    assert says in " ".join(text.split())
    assert "Take " not in text
    (args,) = commands(text)
    assert (args.tasks, args.seeds) == ("digits", seeds)
    assert args.budgets == (pytest.approx(epochs / 30, rel=1e-5),)
    assert args.schedules.split(",")[0] == "constant"
    assert len(args.schedules.split(",")) > 1


def test_a_task_that_was_run_with_other_settings_is_named(tmp_path, capsys):
    directory = held(tmp_path / "a", {"cosine": 0.05}, name="digits(batch_size=16)")
    text = said(capsys, "--task", "digits", "--epochs", 30, "--ledger", directory)
    assert "no ledger at hand has a result on digits. Run it" in text
    assert "There are results on digits(batch_size=16): these can be asked for by --task." in text
    assert "There are" not in said(capsys, "--task", "vowels", "--epochs", 30, "--ledger", directory)


def test_a_budget_between_two_recorded_ones_is_answered_by_the_nearest_which_is_named(tmp_path, capsys):
    directory = held(tmp_path / "a", {"cosine": 0.05})
    assert "8 seeds at 15 epochs, the nearest recorded, of" in of_digits(capsys, directory, epochs=18)
    assert "nearest" not in of_digits(capsys, directory, epochs=15)
    assert of_digits(capsys, directory, epochs=60).startswith("Take cosine")  # off by two exactly is near enough


def test_the_wind_tunnel_is_never_recommended(tmp_path, capsys):
    directory = held(tmp_path / "a", {"cosine": 0.05}, name="linreg", family="tunnel")
    for subject in (("--task", "linreg"), ("--family", "tunnel")):
        text = said(capsys, *subject, "--epochs", 30, "--ledger", directory)
        assert text.startswith("No decay is recommended for")
        assert "glideslope run" not in text


def test_published_runs_of_one_seed_recommend_nothing_and_offer_no_command(tmp_path, capsys):
    imported(tmp_path)
    text = said(capsys, "--task", TASK, "--epochs", 50, "--ledger", tmp_path / "out")
    assert text.startswith("Not enough data")
    assert "These are published runs" in text
    assert "glideslope run" not in text


def test_an_unknown_task_names_the_nearest(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(at, "RESULTS", tmp_path)
    assert "did you mean digits?" in raw(capsys, "--task", "digitz", "--epochs", 9, code=2)


# ------------------------------------------------------------------------------------------------- a family


def family(capsys, *directories, epochs=30):
    return said(capsys, "--family", "image", "--epochs", epochs, "--ledger", *directories)


def test_a_family_is_pooled_over_the_tasks_of_several_ledgers(tmp_path, capsys):
    one = held(tmp_path / "one", {"cosine": 0.05})
    two = held(tmp_path / "two", {"cosine": 0.03}, name="mnist5k", seeds=4)
    text = family(capsys, one, two)
    assert text.startswith("Take cosine for the image tasks at 30 epochs: it ends better than constant, by 4.0")
    assert "times the difference worth having (95 % interval for the best of 2 tried), ahead in 2 of 2 tasks" in text
    assert "12 blocks of task and seed" in text
    assert "Peak LRs: 0.3 on digits and 0.3 on mnist5k." in text


def test_the_same_ledger_in_two_places_counts_once(tmp_path, capsys):
    once = held(tmp_path / "once", {"cosine": 0.05})
    two = held(tmp_path / "two", {"cosine": 0.03}, name="mnist5k")
    copy = held(tmp_path / "copy", {"cosine": 0.05})
    text = family(capsys, once, two)
    assert family(capsys, once, two, copy) == text.replace("reasons.", "reasons, and 1 note on ledgers.")


def test_a_task_with_other_seeds_in_another_ledger_counts_once(tmp_path, capsys):
    few, many = held(tmp_path / "few", {"cosine": 0.05}, seeds=6), held(tmp_path / "many", {"cosine": 0.05}, name="d")
    more = held(tmp_path / "more", {"cosine": 0.05}, seeds=8, budgets=(1.0,))
    assert "16 blocks of task and seed" in family(capsys, few, many, more)
    assert "Not counted: digits in" in said(
        capsys, "--family", "image", "--epochs", 30, "--long", "--ledger", few, many, more
    )


def test_tasks_that_share_no_pair_are_each_compared_with_the_reference(tmp_path, capsys):
    one = held(tmp_path / "one", {"cosine": 0.05}, names=("constant", "cosine"))
    two = held(tmp_path / "two", {"step": -0.05}, name="mnist5k", names=("constant", "step"))
    text = family(capsys, one, two)
    assert text.startswith("Take cosine for the image tasks at 30 epochs")
    assert "ahead in 1 of 1 task" in text
    assert "Not counted: mnist5k (not run)." in text


def test_strategies_of_the_same_task_and_seeds_are_joined_from_two_ledgers(tmp_path, capsys):
    one = held(tmp_path / "one", {"cosine": 0.05}, names=("constant", "step"))
    two = held(tmp_path / "two", {"cosine": 0.05}, names=("constant", "cosine"))
    text = said(capsys, "--task", "digits", "--epochs", 30, "--ledger", one, two)
    assert text.startswith("Take cosine at peak LR 0.3")
    assert "for the best of 2 tried, 8 seeds of" in text
    other = held(tmp_path / "other", {"cosine": 0.05}, names=("constant", "cosine"), digest="another", seeds=6)
    assert "cosine" not in said(capsys, "--task", "digits", "--epochs", 30, "--ledger", one, other)


def test_a_family_that_is_undecided_prints_the_cheapest_command_of_more_seeds(tmp_path, capsys):
    one = held(tmp_path / "one", {"cosine": 0.02}, noise=0.02, seeds=3)
    two = held(tmp_path / "two", {"cosine": 0.02}, noise=0.02, name="mnist5k", seeds=3, epochs=16)
    text = raw(capsys, "--family", "image", "--epochs", 16, "--ledger", one, two)
    assert " ".join(text.split()).startswith("Undecided for the image tasks at 16 epochs: cosine leads constant")
    (args,) = commands(text)
    assert args.seeds > 3
    assert f"About {args.seeds} seeds of each task would decide." in " ".join(text.split())


def test_a_family_without_a_usable_task_says_why(tmp_path, capsys):
    one = held(tmp_path / "one", {"cosine": 0.05}, seeds=1)
    text = family(capsys, one)
    assert text.startswith("Not enough data on family image for 30 epochs: no task can be tested.")
    assert "digits: 1 seed, 6 or more are needed." in text


# ------------------------------------------------------------------------------------- commands and the terminal


def test_the_command_plans_what_is_missing_and_extends_a_run_with_fewer_seeds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    directory = held(tmp_path / "a", {"cosine": 0.05}, seeds=3)
    (args,) = commands(raw(capsys, "--task", "digits", "--epochs", 7, "--ledger", directory))
    assert isinstance(args, argparse.Namespace)
    plan = prepare(run.config_of(args)).plan
    assert {c.seed for c in plan.cells} == set(range(6))
    assert {c.schedule for c in plan.cells} == set(FEW)
    assert {c.total for c in plan.cells} == {updates(7, 1.0, 18)}
    (tmp_path / "runs" / "digits-7-epochs" / "ledger").mkdir(parents=True)
    (tmp_path / "runs" / "digits-7-epochs" / "ledger" / "part-000.jsonl").write_text("")
    (args,) = commands(raw(capsys, "--task", "digits", "--epochs", 7, "--ledger", directory))
    assert args.extend


def test_commands_quote_what_a_shell_would_read(tmp_path):
    names = ("constant", "cosine", "wsd(shape='sqrt')")
    directory = held(tmp_path / "a", {}, name="digits(model='cnn')", names=names, seeds=2)
    found = gather(at_hand([directory], []), "digits(model='cnn')", None, 30)
    (order,) = Recommendation.of("digits(model='cnn')", False, 30, found).remedies()
    (args,) = commands(command(order))
    assert (args.tasks, args.schedules) == ("digits(model='cnn')", ",".join(names))


@pytest.mark.parametrize("subject", [("--task", "digits"), ("--family", "speech")])
def test_the_answer_from_our_own_ledgers_is_one_short_paragraph(monkeypatch, capsys, subject):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(at, "RESULTS", ROOT / "results")
    text = raw(capsys, *subject, "--epochs", 7, "--long")
    answer = text.partition("\n\n")[0].partition("To get the data")[0]
    assert len(answer.splitlines()) <= 8
    assert max(map(len, answer.splitlines())) <= 80
    assert len(text.splitlines()) > 20


def test_ledgers_at_hand_are_found_and_a_broken_one_is_left_out_with_a_note(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(at, "RESULTS", tmp_path / "results")
    held(tmp_path / "runs" / "mine", {"cosine": 0.05})
    broken = tmp_path / "results" / "core" / "ledger"
    broken.mkdir(parents=True)
    (broken / "part-000.jsonl").write_text("no row\nno row\n")
    assert "8 seeds of runs/mine" in said(capsys, "--task", "digits", "--epochs", 30)
    assert "is left out" in said(capsys, "--task", "digits", "--epochs", 30, "--long")


def test_a_ledger_whose_cells_are_all_in_another_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(at, "RESULTS", tmp_path / "results")
    for place, seeds in (("runs/core", 5), ("results/core", 5), ("results/more", 6)):
        held(tmp_path / place, {}, seeds=seeds)
    notes = []
    assert list(at_hand([], notes)) == [tmp_path / "results" / "more"]
    assert len(notes) == 2
    assert all("all its cells are in" in note for note in notes)
    same = at_hand([tmp_path / "runs" / "core", tmp_path / "results" / "core"], [])
    assert list(same) == [tmp_path / "runs" / "core"]
    assert ledgers.read(tmp_path / "runs" / "core")


def test_the_digits_show_what_the_word_says():
    """0.004 ± 0.004 is no reason to call a strategy worse: where it is one, the digits that make it one are shown."""
    assert resolved_value(Interval(0.0041, 0.0039, 3)) == "0.0041 ± 0.0039"
    assert resolved_value(Interval(0.0039, 0.0041, 3), signed=True) == "+0.0039 ± 0.0041"
    assert resolved_value(Interval(-0.00401, 0.00399, 3)) == "−0.00401 ± 0.00399"
    assert resolved_value(Interval(0.004, 0.004, 3)) == "0.004 ± 0.004"
    assert resolved_value(Interval(3.1e-7, 2.9e-7, 3)) == "3.1e−07 ± 2.9e−07"
    assert resolved_value(Interval(0.0, 0.0, 3)) == "0.000 ± 0"
    assert resolved_value(None) == "–"


def test_a_difference_below_the_margin_is_never_called_worse(tmp_path, capsys):
    """0.004 ± 0.004 of a task where less than 0.01 is not worth having."""
    directory = held(tmp_path / "a", {"cosine": -0.004}, noise=0.0009)
    text = of_digits(capsys, directory, "--long")
    assert text.startswith("Any of the 3 strategies will do")
    assert "worse" not in text
