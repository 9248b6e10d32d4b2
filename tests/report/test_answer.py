"""The answer in words and pictures: a sentence for every outcome, colours with one meaning, digits that tell apart."""

import io
import random
import re
from itertools import combinations

import pytest
from rich.console import Console

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.answer import Answer
from bench.analysis.published import llama_csv
from bench.analysis.results import Study
from bench.report import answer_figures, document, figures, markup, tables, write
from bench.report.numbers import gap, number
from bench.report.sections import advice, answer
from tests.analysis.rows import ledger, task
from tests.analysis.test_primary import GAIN, NAMES, compare, outcome
from tests.analysis.test_published import SMALL

FEW = ("constant", "linear", "cosine", "rex")
MARGIN = {"value": 0.01, "reason": "as good as twice the data"}


def outcomes(leads, noise=0.001):
    """A rule for cells: the best peak LR is 0.1, and a strategy leads by so much, with noise."""

    def outcome(name, strategy, budget, peak_lr, seed):
        draw = random.Random(f"{name}{strategy}{seed}")
        final = 0.8 + leads.get(strategy, 0.0) + noise * draw.gauss(0, 1) - 0.1 * (peak_lr != 0.1)
        return final, final, final

    return outcome


def found(leads, noise=0.001, strategies=FEW, seeds=8, budgets=(0.25, 1.0), tasks=("digits", "vowels"), **changes):
    facts = task(strategies, budgets, seeds=seeds, **({"margin": MARGIN} | changes))
    return Answer(Comparison(Study.of(ledger(dict.fromkeys(tasks, facts), outcomes(leads, noise), tied=()))))


TAKE = {"linear": 0.05, "cosine": 0.0501, "rex": -0.04}


@pytest.fixture(scope="module")
def take():
    return found(TAKE, 0.004)


# ------------------------------------------------------------------------------------------------- sentences


def test_take_names_the_decay_the_size_and_how_sure(take):
    assert take.outcome == "take"
    text = answer.sentence(take)
    best, other = take.best.strategy, take.tied[0]
    pattern = (
        rf"Take {best} decay: at the full budget it ends better than a constant LR, by [45]\.\d times the smallest "
        r"difference worth having \(\d\.\d to \d\.\d; p = .*; 2 tasks of 1 family, 8 seeds each\)\."
    )
    assert re.fullmatch(pattern, text)
    assert f"Not told apart from it: {other} decay. Worse than a constant LR: rex." in answer.others(take)


def test_keep_names_what_is_worse():
    result = found({"linear": -0.05, "cosine": -0.05, "rex": -0.05})
    assert result.outcome == "keep"
    text = answer.sentence(result)
    assert text.startswith("Keep a constant LR: at the full budget nothing else ends better (2 tasks of 1 family")
    assert "worse: " in text
    assert "rex" in text


def test_equal_says_that_either_will_do():
    result = found({}, 0.0005)
    assert result.outcome == "equal"
    text = answer.sentence(result)
    assert text.startswith("Take which you like: at the full budget, ")
    assert "a constant LR end equally well, less than the smallest difference worth having apart" in text


def test_undecided_says_how_many_seeds_would_decide():
    result = found({"linear": 0.005}, 0.03)
    assert result.outcome == "undecided"
    text = answer.sentence(result)
    assert "Not decided: at the full budget nothing is shown to end better than a constant LR" in text
    assert re.search(
        r"Closest comes [a-z ]+: \+\d\.\d ± \d\.\d margins; about [\d,]+ seeds a task would decide\.", text
    )


def test_too_few_runs_are_no_evidence_either_way():
    result = found(TAKE, seeds=2, tasks=("digits",))
    assert result.outcome == "undecided"
    assert "too few seeds and tasks for any difference to become significant" in answer.sentence(result)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seeds": 1}, "each task has one seed, and nothing says how much another would change"),
        ({"strategies": FEW[1:]}, "no task ran constant, the reference, at a declared budget"),
        ({"family": "tunnel"}, "a wind tunnel's task is reported, never tested"),
        ({"baseline": {"name": "majority", "value": 0.99}}, "no strategy is shown to get beyond the trivial baseline"),
    ],
)
def test_untested_gives_the_reason(changes, says):
    result = found(TAKE, **changes)
    assert result.outcome == "untested"
    assert answer.sentence(result).startswith("Not tested: ")
    assert says in answer.sentence(result)
    assert answer.left_out(result) == ""


def test_published_runs_of_one_seed_are_not_tested(tmp_path):
    (tmp_path / "small.csv").write_text(SMALL)
    rows = llama_csv.import_log(tmp_path / "small.csv", tmp_path / "out")
    result = Answer(Comparison(Study.of(rows)))
    assert answer.sentence(result).startswith("Not tested: these are published runs with one seed each")
    assert "better" not in advice.advice(result).rows[0][-1].mark


def test_old_ledgers_without_margins_have_a_sentence_too():
    result = found(TAKE, 0.004, margin=None)
    assert "smallest difference" not in answer.sentence(result)
    assert answer.sentence(result).startswith("Take ")
    assert result.forest == ()


def test_what_could_not_be_seen_is_said_and_contradicts_nothing(take):
    text = " ".join(answer.limits(take))
    assert f"a true lead of {take.invisible:.1f} margins is found four times in five, a smaller one less often" in text
    whole = markup.markdown(document.document(take, {}))
    for contradiction in ("No other difference", "Nothing else in this report", "cannot see less", "clearly beats"):
        assert contradiction not in whole


# ---------------------------------------------------------------------------------------------- what to do


def test_the_advice_has_a_strategy_a_peak_lr_and_how_sure(take):
    table = advice.advice(take)
    assert table.head == ("task", "25 %", "100 %")
    for _, *fields in table.rows:
        for field in fields:
            assert re.fullmatch(r"(linear|cosine), LR 0\.1\nbetter, ≈ (linear|cosine)", field.text)
            assert field.mark == "better"


def test_the_advice_to_keep_the_reference_has_no_colour():
    field = advice.advice(found({"linear": -0.05, "cosine": -0.05, "rex": -0.05})).rows[0][1]
    assert field.text == "constant, LR 0.1\nnothing better"
    assert field.mark == "prose"


def test_nothing_is_advised_where_nothing_was_learnt():
    field = advice.advice(found(TAKE, baseline={"name": "majority", "value": 0.99})).rows[0][1]
    assert field.text == "not shown to learn\nbeyond the trivial baseline"


def test_a_mean_beyond_the_baseline_with_a_wide_interval_is_not_called_nothing():
    result = found({"linear": 0.05}, 0.3, seeds=2, baseline={"name": "majority", "value": 0.5})
    text = answer.sentence(result)
    final = result.comparison.at("digits", 1.0)["constant"].score.final
    assert final.mean > 0.5
    assert "no strategy is shown to get beyond the trivial baseline" in text
    assert "nothing learnt" not in text + "".join(field.text for field in advice.brief(result, 80).rows[0])


def test_an_edge_of_the_grid_and_a_lack_of_seeds_are_said():
    edge = found(TAKE, peak_lrs=[0.1, 0.3, 1.0])
    assert "LR at an edge of the grid" in advice.advice(edge).rows[0][1].text
    undecided = advice.advice(found({"linear": 0.005}, 0.03)).rows[0][1].text
    assert re.search(r"undecided \([\d,]+ seeds\)", undecided)


def shown(rows, width=80):
    console = Console(file=io.StringIO(), width=width)
    write.show(write.find(rows), console)
    return console.file.getvalue()


def test_the_terminal_ends_in_a_few_lines(take):
    facts = task(FEW, (0.25, 1.0), seeds=8, margin=MARGIN)
    text = shown(ledger(dict.fromkeys(("digits", "vowels"), facts), outcomes(TAKE, 0.004), tied=()))
    assert len(text.splitlines()) <= 15
    assert text.replace("\n", " ").startswith(answer.sentence(take)[:60])
    assert re.search(r"vowels +(linear|cosine) 0\.1 \+ +(linear|cosine) 0\.1 \+", text)
    assert "cell-steps" not in text


# ------------------------------------------------------------------------------------------------- pictures


def drawn(result):
    import matplotlib as mpl

    with mpl.rc_context(figures.SETTINGS):
        return {key: figure for key, _, _, figure in answer_figures.pictures(result)}


def test_blue_is_better_orange_is_worse_and_a_frame_is_significant(take):
    axes = drawn(take)["effects"].axes[0]
    texts = [text.get_text() for text in axes.texts]
    cells, frames = ([p for p in axes.patches if p.get_fill() is fill] for fill in (True, False))
    assert len(texts) == len(cells) == 2 * 3  # 25 %, and 100 % as declared
    assert len(frames) == 6
    for text, cell in zip(texts, cells, strict=True):
        red, _, blue, _ = cell.get_facecolor()
        assert (blue > red) == text.startswith("+")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["25 %", "100 %,\ndeclared"]
    assert len([p for p in drawn(found({"linear": 0.005}, 0.03))["effects"].axes[0].patches if not p.get_fill()]) == 0


def test_the_forest_has_every_task_the_pooled_effect_and_the_margin(take):
    axes = drawn(take)["forest"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["digits", "vowels", "all tasks"]
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((-1, 1))


def test_without_margins_there_is_no_forest_and_without_tests_no_picture():
    assert set(drawn(found(TAKE, 0.004, margin=None))) == {"effects", "answer"}
    assert drawn(found(TAKE, seeds=1)) == {}


# ------------------------------------------------------------------------------------------- digits, colours


def test_values_that_are_called_different_never_print_alike():
    def outcome(name, strategy, budget, peak_lr, seed):
        final = 0.9 + 0.02 * random.Random(f"{seed}").gauss(0, 1)
        final += {"linear": 0.0024, "cosine": 0.0012}.get(strategy, 0.0) - 0.1 * (peak_lr != 0.1)
        final += 1e-5 * random.Random(f"{strategy}{seed}").gauss(0, 1)
        return final, final, final

    facts = task(FEW, (1.0,), seeds=8, metric="r2", margin={"value": 1e-4, "reason": "x"})
    comparison = Comparison(Study.of(ledger({"digits": facts}, outcome, tied=())))
    column = {row[0].text: row[1] for row in tables.results(comparison, "digits").rows}
    group = comparison.at("digits", 1.0)
    assert group["cosine"].word == "worse"
    printed = {s: item.text.split(" ")[0] for s, item in column.items()}
    assert printed["linear"] != printed["cosine"] != printed["constant"]
    assert len(printed["linear"]) <= 6  # no more digits than are needed
    assert {s: item.mark for s, item in column.items()} == {
        "linear": "first better",
        "cosine": "better",
        "constant": "",
        "rex": "",
    }


@pytest.mark.parametrize("half", [None, 0.5, 0.02, 1e-4])
def test_a_gap_shows_whatever_the_width(half):
    draw = random.Random(3)
    for _ in range(300):
        size = 10.0 ** draw.uniform(-7, 4)
        column = [(size * (1 + draw.choice([1, 10, 100]) * 1e-4 * draw.random()), draw.choice("ab")) for _ in range(5)]
        resolution = gap(column)
        for (a, one), (b, other) in combinations(column, 2):
            if one != other and abs(a - b) > 1e-6 * size:
                width = half and half * size
                assert number(a, width, resolution=resolution) != number(b, width, resolution=resolution)


def test_values_exactly_one_apart_do_not_round_to_one():
    assert number(1.5, 30.0, resolution=1.0) != number(2.5, 30.0, resolution=1.0)


def test_one_colour_means_one_thing(take):
    marks = {field.mark for table in markup.tables(document.document(take, {})) for row in table.rows for field in row}
    assert marks <= {"", "better", "worse", "first", "first better", "first worse", "prose"}


def test_families_have_a_clause_each():
    speech = task(NAMES, budgets=(0.1, 0.25), seeds=8, family="speech", margin=MARGIN)
    text = answer.sentence(Answer(compare(primary={"over": "family"}, more={"vowels": speech})))
    assert re.fullmatch(
        r"Beside a constant LR, image: take linear decay \(\+[45]\.\d margins, p = [^)]+\); "
        r"speech: take linear decay \(\+[45]\.\d margins, p = [^)]+\)\.",
        text,
    )
    worse = outcome({**GAIN, "linear": -0.05})
    text = answer.sentence(Answer(compare(see=worse, primary={"over": "family"}, more={"vowels": speech})))
    assert text.count("keep it, worse are step decay and linear decay") == 2
