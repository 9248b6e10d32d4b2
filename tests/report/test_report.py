"""The report's files: derived from rows alone, equal byte for byte, complete about what is missing, and escaped."""

import csv
import io
import random
import re

import pytest
from rich.console import Console

from bench.analysis.comparison import Comparison
from bench.analysis.results import KINDS, Study
from bench.contract import InputError
from bench.ledger import ledger as records
from bench.ledger.deposit import deposit
from bench.report import document, markup, write
from bench.report.numbers import number
from tests.analysis.rows import PEAKS, ledger, row, task

FEW = ("constant", "step", "cosine")
NASTY = "x_{}$1&<b>|'\"`*_#%~^\\\\[y](z)\n!"


def files(directory):
    return {f.relative_to(directory): f.read_bytes() for f in directory.rglob("*") if f.is_file()}


def shown(rows, width=80):
    console = Console(file=io.StringIO(), width=width)
    write.show(write.find(rows), console)
    return console.file.getvalue()


def lines(directory):
    return list(csv.DictReader(io.StringIO((directory / "table.csv").read_text())))


def text_of(rows):
    """`table.md`, without drawing the figures."""
    return markup.markdown(document.document(write.find(rows), {}))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(rows, directory) of a report on two tasks, one with small values to be minimised."""
    tunnel = task(FEW, (0.5, 1.0), metric="excess", direction="min", baseline={"name": "zero weights", "value": 2.25})
    rows = ledger({"digits": task(FEW, (0.5, 1.0)), "quadratic": tunnel}, tied=(("constant", "step"),))
    directory = tmp_path_factory.mktemp("report")
    assert write.write(directory, write.find(rows)) == directory / "report.html"
    return rows, directory


def test_the_same_rows_in_any_order_give_the_same_bytes(small, tmp_path):
    rows, directory = small
    mixed = random.Random(1).sample(rows, len(rows))
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "task-gone.svg").write_text("of a task that is no longer there")
    write.write(tmp_path, write.find(mixed))
    assert files(tmp_path) == files(directory)


def test_what_was_deleted_is_rebuilt_byte_for_byte_from_the_ledger_alone(tmp_path):
    deposit(tmp_path, ledger({"digits": task(FEW, (0.5, 1.0))}))

    def rebuilt():
        write.write(tmp_path, write.find(records.read(tmp_path, None, KINDS)))
        return files(tmp_path)

    before = rebuilt()
    for name in before:
        if name.parts[0] != "ledger":
            (tmp_path / name).unlink()
    assert [name.parts[0] for name in files(tmp_path)] == ["ledger"]
    assert rebuilt() == before


def test_every_file_that_is_promised_is_there(small):
    _, directory = small
    names = {str(name) for name in files(directory)}
    assert {"table.md", "table.csv", "tests.csv", "peaks.csv", "theory.csv", "table.tex", "report.html"} <= names
    for figure in ("curves", "task-digits", "task-quadratic", "peaks-digits", "peaks-quadratic"):
        assert {f"figures/{figure}.svg", f"figures/{figure}.pdf"} <= names


def test_ranks_over_enough_tasks_are_tested_and_drawn(tmp_path):
    rows = ledger({name: task(FEW, (1.0,)) for name in ("a", "b", "c", "d", "e")})
    write.write(tmp_path, write.find(rows))
    assert (tmp_path / "figures" / "distances.svg").stat().st_size > 1000
    text = (tmp_path / "table.md").read_text()
    assert "Friedman's test asks whether they differ at all, not which, nor by how much" in text
    assert "Over 5 tasks at the largest budgets" in text
    assert "![Mean ranks of 3 strategies" in text
    assert "Mean rank of 3 strategies" not in text  # once is enough
    for contradiction in ("Nothing else in this report", "No other difference", "cannot see less than", "Ranks differ"):
        assert contradiction not in text
    assert "No Friedman test of these 3 strategies" in text_of(ledger({"a": task(FEW, (1.0,))}))
    tested = list(csv.DictReader(io.StringIO((tmp_path / "tests.csv").read_text())))
    assert {line["strategy"] for line in tested} == {"cosine"}  # step's peak LRs lie at an edge of the grid
    assert {line["blocks"] for line in tested} == {"12"}


def test_a_single_seed_is_never_significant_and_says_so():
    text = text_of(ledger({name: task(FEW, (0.5, 1.0), seeds=1) for name in "abcdefgh"}))
    assert "Not tested: each task has one seed" in text
    assert "Nothing is tested" in text
    assert "significantly" not in text.lower()


def test_the_csv_carries_full_precision(small):
    rows, directory = small
    table = {(x["task"], x["strategy"], x["budget"]): x for x in lines(directory)}
    assert len(table) == 2 * 3 * 2
    line = table["digits", "cosine", "1.0"]
    chosen = dict(enumerate(map(float, line["chosen_peak_lrs"].split("; "))))
    finals = [
        c["final"]["accuracy"]
        for c in (r.payload for r in rows if r.kind == "cell")
        if (c["task"], c["schedule"], c["budget"]) == ("digits", "cosine", 1.0) and c["peak_lr"] == chosen[c["seed"]]
    ]
    assert float(line["mean"]) == pytest.approx(sum(finals) / 3, rel=1e-15)
    assert float(line["high"]) - float(line["low"]) == pytest.approx(2 * float(line["half"]), rel=1e-12)
    assert (line["n"], line["tries"], line["total"], line["epochs"]) == ("3", "9", "600", "20.0")
    assert (line["metric"], line["direction"]) == ("accuracy", "max")
    assert table["digits", "step", "0.5"]["identical_to"] == "constant"


def test_the_terminal_shows_the_answer_for_every_task_and_budget(small):
    text = " ".join(shown(small[0]).split())
    for words in ("Not decided: ", "digits", "quadratic", "50 %", "100 %", "better than constant", "? undecided"):
        assert words in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_is_never_overrun_and_cuts_no_name(width):
    text = shown(ledger({"digits": task(), "stages([constant, cosine], [0.5, 0.5])": task()}), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "stages([constant," in text
    assert "cosine]," in text
    whole = re.findall(r"(?<= )[a-z_]+ 0\.\d+ [?!+=−] ", text)
    assert len(whole) in ((2 * 3, 2 * 4) if width == 80 else (2 * 4,))  # a budget that has no room is left out
    assert len(whole) == 2 * re.search(r"^ *task .*$", text, re.MULTILINE)[0].count("%")


def test_an_unfinished_ledger_says_what_is_missing(tmp_path):
    rows = ledger({"digits": task(FEW), "vowels": task(FEW)}, keep=lambda c: c["task"] == "digits" and c["budget"] < 1)
    write.write(tmp_path, write.find(rows))
    text = (tmp_path / "table.md").read_text()
    missing = 3 * 3 * 3 + 3 * 4 * 3 * 3
    assert f"Not finished: {missing} of {2 * 3 * 4 * 3 * 3} planned cells" in text
    assert "Nothing is recorded at 100 % yet" in text
    assert "Not finished" in shown(rows)


def test_a_plan_alone_is_a_report_too(tmp_path):
    rows = ledger({"digits": task(FEW)}, keep=lambda c: False)
    write.write(tmp_path, write.find([r for r in rows if r.kind == "plan"]))
    assert "Not finished: 108 of 108" in (tmp_path / "table.md").read_text()
    assert len(lines(tmp_path)) == 0


def test_a_ledger_without_a_plan_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="holds no plan row"):
        write.write(tmp_path / "out", write.find([]))
    assert not (tmp_path / "out").exists()


def test_everything_diverged_is_reported(tmp_path):
    rows = ledger({"digits": task(("cosine", "wsd"), (1.0,))}, lambda *cell: None)
    write.write(tmp_path, write.find(rows))
    text = (tmp_path / "table.md").read_text()
    assert "diverged 3/3" in text
    assert "18 of 18 cells diverged" in text
    assert "18 of 18 cells diverged" in shown(rows)


def test_cells_whose_schedule_failed_rank_last_and_are_named():
    failed = {"status": "failed", "failed_step": 7, "error": "ValueError: no"}
    rows = ledger({"digits": task(("cosine", "wsd", "linear"), (1.0,))})
    for i, cell in enumerate(rows):
        if cell.kind == "cell" and cell.payload["schedule"] == "wsd":
            place = {k: v for k, v in cell.payload.items() if k not in ("final", "best", "control", "recalibrated")}
            rows[i] = cell._replace(payload=place | failed)
    text = shown(rows, 200)
    assert "9 cells of wsd failed, and rank as if they had diverged (ValueError: no)." in text
    assert "failed 3/3" in text_of(rows)
    assert "diverged; a strategy" not in text
    comparison = Comparison(Study.of(rows))
    assert comparison.standing("digits")[-1] == "wsd"
    assert comparison.full("digits")["wsd"].word == "failed"


def test_cohorts_that_failed_are_named_until_they_are_done():
    rows = ledger({"digits": task(FEW)}, keep=lambda cell: cell["seed"])
    failure = {"cohort": "cohort00", "task": "digits", "seed": 0, "error": "OSError: gone", "cells": 36}
    older = row("failure", "cohort00", failure | {"error": "OSError: another"})
    rows += [older, row("failure", "cohort00/2", failure)]
    finished = [x for x in rows if x.kind == "cohort" and x.key == "cohort00"]
    assert "Failed" not in shown(rows)
    unfinished = [x for x in rows if x not in finished]
    assert "Failed, so that 36 of these cells are missing: digits, seed 0 (OSError: gone)." in shown(unfinished)


def test_one_seed_one_budget_one_peak_lr_are_reported(tmp_path):
    write.write(tmp_path, write.find(ledger({"digits": task(("constant", "wsd"), (1.0,), (0.1,), 1)})))
    assert "one seed, not judged" in (tmp_path / "table.md").read_text()


def test_final_best_epoch_and_recalibrated_stand_side_by_side():
    rows = ledger({"digits": task(FEW, (1.0,))}, lambda *cell: (0.9, 0.8125, 0.8750), anew=lambda v: v + 0.0312)
    line = next(x for x in text_of(rows).splitlines() if "0.844 ±" in x)
    assert [x.strip(" *") for x in line.split("|")[2:5]] == ["0.812 ± 0.002", "0.875 ± 0.002", "0.844 ± 0.002"]


def test_two_peak_lrs_are_said_to_be_all_edge():
    text = text_of(ledger({"digits": task(FEW, (1.0,), PEAKS[:2])}))
    assert "With 2 peak LRs every choice is at an edge" in text
    assert not re.search("[↑↓]", text)


def test_what_misses_the_baseline_is_named():
    text = text_of(ledger({"digits": task(FEW, baseline={"name": "majority class", "value": 0.99})}))
    assert re.search(r"digits: the interval of .*constant.* does not lie wholly beyond", text)
    assert "Every strategy's interval" not in text


def test_the_report_says_how_it_was_made(small):
    text = (small[1] / "table.md").read_text()
    for fact in ("0123456789abcdef", "uncommitted changes", "Some Processor", "torch 2.15.0", "plan0", "50.0 % saved"):
        assert fact in text
    assert "somewhere" not in text  # the host's name is nobody's business


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A report on names that mean something to HTML, LaTeX, Markdown and rich."""
    directory = tmp_path_factory.mktemp("nasty")
    rows = ledger({NASTY: task(("constant", NASTY), (1.0,), source=NASTY, chance=NASTY)})
    write.write(directory, write.find(rows))
    return rows, directory


def test_names_from_users_are_text_in_html(nasty):
    page = (nasty[1] / "report.html").read_text()
    assert "<b>" not in page
    assert "&amp;&lt;b&gt;|&#x27;&quot;" in page


def test_names_from_users_are_text_in_latex(nasty):
    rows = [x for x in (nasty[1] / "table.tex").read_text().splitlines() if "textbar" in x and "caption" not in x]
    for line in rows:
        assert len(re.findall(r"(?<!\\)&", line)) == 1  # one column after the name
        bare = re.sub(r"\\(text\w+\{\}|[&%$#_{}])", "", line.removesuffix(r" \\"))
        assert not re.search(r"[%#_~^]", bare)
    assert rows


def test_names_from_users_are_text_in_markdown(nasty):
    rows = [x for x in (nasty[1] / "table.md").read_text().splitlines() if x.startswith("| x")]
    for line in rows:
        bare = re.sub(r"\\[^a-z\s]", "", line)  # what is escaped is text
        assert not re.search(r"[`_~<>\[\]]", bare)
    columns = {len(re.sub(r"\\[^a-z\s]", "", line).split("|")) - 2 for line in rows}
    # advice, results and mean ranks; tries; readings; primary test
    assert columns == {2, 4, 6, 10}


def test_names_from_users_are_text_on_a_terminal(nasty):
    assert "[y](z)" in shown(nasty[0], 120).replace(" ", "")


def test_bold_is_for_the_best_of_each_column(small):
    text = (small[1] / "table.md").read_text()
    table = text[text.index("**digits: final test accuracy") :].split("\n\n")[1]
    for column in range(2, 4):
        bold = [x for x in table.splitlines()[2:] if x.split("|")[column].strip().startswith("**")]
        best = [x for x in table.splitlines()[2:] if re.search(r"\(1(\.5)?\)", x.split("|")[column])]
        assert bold == best


def test_numbers_show_the_digits_that_their_interval_supports():
    assert number(0.96234, 0.0962) == "0.96 ± 0.10"
    assert number(12345.678, 321.0) == "12346 ± 321"
    assert number(1.5e-7) == "1.500e−7"
    assert number(0.0) == "0.000"
    assert number(0.5, 0.0) == "0.5000 ± 0"
    assert number(1e-5, 1.0) == "0.0 ± 1.0"
    assert number(-0.0004, signed=True) == "−4.000e−4"


def test_a_largest_budget_without_the_reference_leaves_its_column_empty(tmp_path):
    rows = ledger({"t": task()}, keep=lambda cell: cell["schedule"] != "constant" or cell["budget"] < 1)
    write.write(tmp_path, write.find(rows))
    (answer,) = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("| t |")][:1]
    assert "no reference" in answer.split("|")[5]
    readings = (tmp_path / "table.md").read_text().split("t: readings at 100 %")[1].split("\n\n")[1].splitlines()
    assert {line.split("|")[4].strip() for line in readings if line.startswith("| cosine |")} == {"–"}
