"""Published logs as a ledger: what they say arrives, what they don't say is not made up."""

import re
from pathlib import Path

import pytest

import schedules
from bench.analysis.comparison import Comparison
from bench.analysis.published import llama_csv
from bench.analysis.published import rows as published
from bench.analysis.results import Study
from bench.analysis.textbook.theory import Theory
from bench.contract import InputError
from bench.ledger import ledger
from bench.report import document, markup, write
from bench.report.sections import peaks
from schedules.schedule import factors

HEAD = "dataset,model,parameters,scheduler,decay_type,cooldown_fraction,final_lr,peak_lr,steps,warmup_steps,seed"
SMALL = f"""{HEAD},final_val_loss,group
web,llama,100,cos,,,1e-07,0.0005,50000,300,0,3.02,main
web,llama,100,cos,,,1e-07,0.002,50000,300,0,2.95,main
web,llama,100,cos,,,1e-07,0.002,50000,300,0,2.97,grad_norm
web,llama,100,cos,,,-1,0.002,50000,300,0,2.98,main
web,llama,100,cos,,,,0.002,25000,300,0,3.1,main
web,llama,100,wsd,sqrt,0.2,,0.0005,50000,300,0,3.0,main
web,llama,100,wsd,sqrt,0.2,,0.002,50000,300,0,2.96,main
web,llama,100,wsd,linear,0,,0.002,50000,300,0,nan,main
"""
TASK = "web(model='llama', parameters=100)"
SQRT = "cooldown(warmup(constant, epochs=0.3), shape='sqrt')"
COSINE = "warmup(cosine, epochs=0.3)"


def imported(tmp_path, text=SMALL):
    file = tmp_path / "small.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return llama_csv.import_log(file, tmp_path / "out")


def test_every_row_is_marked_and_none_names_an_attempt(tmp_path):
    rows = imported(tmp_path)
    assert ledger.read(tmp_path / "out") == rows
    assert [r.kind for r in rows] == ["plan", *["cell"] * 7, "repeat"]
    assert all(r.payload["published"]["licence"] == "MIT" and r.attempt is None for r in rows)


def test_the_value_of_group_main_counts_and_a_repeat_only_says_how_far_repeats_lie_apart(tmp_path):
    it = Comparison(Study.of(imported(tmp_path)))
    assert it.full(TASK)[COSINE].score.final == (2.95, None, 1)
    repeats = it.study.tasks[TASK].repeats
    assert repeats == {"runs": 2, "deviation": pytest.approx(0.02 / 2**0.5)}


def test_one_seed_is_never_judged_and_what_diverged_has_no_value(tmp_path):
    full = Comparison(Study.of(imported(tmp_path))).full(TASK)
    assert (full[COSINE].word, full[SQRT].word) == ("best", "not judged")
    assert full["warmup(constant, epochs=0.3)"].word == "diverged"


def test_what_the_source_does_not_tell_keeps_a_name_that_is_no_schedule_of_ours(tmp_path):
    plan = Study.of(imported(tmp_path)).plan
    assert plan.known_as["cos(end unknown)"] == "cosine, its end not told"
    assert set(plan.known_as) - set(plan.curves) == {"cos(end unknown)"}


def test_a_published_cooldown_is_a_share_of_all_updates_the_warmup_included():
    total, warm, share = 1000, 300, 0.2
    factor = [s.factor for s in factors(schedules.parse(SQRT), total, published.EPOCH_STEPS, 1e-3)]
    begin = total - total * share
    rising = [min(1.0, (t + 1) / warm) for t in range(total)]
    falling = [1 - max(0.0, (t - begin) / (share * total)) ** 0.5 for t in range(total)]
    assert factor == pytest.approx([min(pair) for pair in zip(rising, falling, strict=True)], abs=1e-12)


def test_the_same_file_again_changes_nothing_and_another_is_refused(tmp_path):
    imported(tmp_path)
    before = (tmp_path / "out" / "ledger" / "part-000.jsonl").read_bytes()
    imported(tmp_path)
    assert (tmp_path / "out" / "ledger" / "part-000.jsonl").read_bytes() == before
    with pytest.raises(InputError, match="another ledger"):
        imported(tmp_path, SMALL.replace("2.98", "2.99"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "lacks the columns"),
        (SMALL.splitlines()[0] + "\n", "holds no run"),
        (SMALL.replace("0.0005", "high"), "line 2: peak_lr is 'high', not a number"),
        (SMALL.replace("0.0005", "-1"), "line 2: peak_lr, steps"),
        (SMALL.replace("0.0005", "inf"), "line 2: peak_lr, steps"),
        (SMALL.replace("sqrt", "round"), "line 7: "),
        (SMALL.replace("3.02", "3,02"), "line 2: has not the 13 fields"),
        (SMALL.replace("3.02", '"3,02"'), "line 2: final_val_loss is '3,02'"),
        (SMALL.replace(",3.02,main", ""), "line 2: has not the 13 fields"),
        (SMALL.replace("3.02", ""), "line 2: final_val_loss is ''"),
        (SMALL.replace("3.02", "-3.02"), "line 2: final_val_loss is a mean cross-entropy"),
        (SMALL.replace("50000,300,0,3.02", "50000.5,300,0,3.02"), "line 2: steps is '50000.5', not a whole number"),
        (SMALL.replace("50000,300,0,3.02", "50000,60000,0,3.02"), "line 2: warmup_steps should be"),
        (SMALL.replace("1e-07", "0.5"), "line 2: final_lr is 0.5; known are"),
        (SMALL.replace("1e-07", "nan"), "line 2: final_lr is nan; known are"),
        (SMALL.replace("sqrt,0.2", "sqrt,nan"), "line 7: cooldown_fraction is nan"),
        (SMALL.replace("sqrt,0.2", "sqrt,20"), "line 7: cooldown_fraction is 20, not from 0 to 1"),
        (SMALL.replace("web,llama,100,cos,,,-1", ",llama,100,cos,,,-1"), "line 5: dataset is empty"),
        (SMALL.replace(",group\n", ",seed\n"), "has the column seed twice"),
        (SMALL + SMALL.splitlines()[1] + "\n", "line 10: is line 2 again"),
        (SMALL + SMALL, "line 10: "),
        (SMALL.replace("web", '"we"b'), "line 2: ',' expected after"),
        (SMALL.replace(",", ";"), "lacks the columns"),
        (SMALL.replace("web", "w\xe9b").encode("latin-1"), "is no text in UTF-8"),
        (SMALL.encode("utf-16"), "is no text in UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_its_line(tmp_path, text, says):
    with pytest.raises(InputError, match=says) as caught:
        imported(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + SMALL,
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("\n", "\n\n"),
        SMALL.replace(",", ", "),
        SMALL.replace("100,", '"100",'),
        SMALL.replace("50000,", "50000.0,").replace("300,0,", "3e2,0.0,"),
        "\n".join(",".join(reversed(line.split(","))) for line in SMALL.splitlines()),
    ],
    ids=["mark", "CRLF", "blank lines", "blanks", "numbers as text", "numbers as floats", "columns in another order"],
)
def test_the_same_log_written_another_way_is_the_same(tmp_path, text):
    (tmp_path / "plain.csv").write_text(SMALL)
    (tmp_path / "other.csv").write_text(text, newline="")
    read = llama_csv.read_runs
    assert str(read(tmp_path / "other.csv")) == str(read(tmp_path / "plain.csv"))  # of which one loss is NaN


def test_an_infinite_loss_has_diverged_like_one_that_is_no_number(tmp_path):
    rows = imported(tmp_path, SMALL.replace("3.02", "inf"))
    assert [r.payload["status"] for r in rows if r.kind == "cell"].count("diverged") == 2


def test_a_source_that_names_a_schedule_of_ours_does_not_mean_ours(tmp_path):
    plan = imported(tmp_path, SMALL.replace("wsd,sqrt,0.2", "linear,,"))[0].payload
    assert plan["known_as"]["linear(settings unknown)"] == "linear"
    assert "linear" not in plan["curves"]


LLAMA = Path(__file__).resolve().parents[3] / "shared" / "reference" / "schaipp2025_llama.csv"


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """The comparison of the published logs, and its largest task."""
    if not LLAMA.is_file():
        pytest.skip("the published logs are not beside this checkout")
    it = Comparison(Study.of(llama_csv.import_log(LLAMA, tmp_path_factory.mktemp("llama"))))
    return it, "slimpajama(model='llama_norm', parameters=123587328)"


def test_the_llama_logs_flip_their_ranks_with_the_peak_lr(llama):
    it, task = llama
    at = {(t.strategy, t.peak_lr): t.final for t in it.study.tries if t.task == task and t.total == 50_000}
    assert at[COSINE, 5e-4] - at[SQRT, 5e-4] == pytest.approx(0.0130, abs=5e-5)
    assert at[SQRT, 2e-3] - at[COSINE, 2e-3] == pytest.approx(0.0113, abs=5e-5)
    assert it.best(task) == "cooldown(warmup(constant, epochs=0.3), fraction=0.6)"
    assert {v.word for v in it.full(task).values()} == {"best", "not judged"}


def test_a_report_of_one_seed_calls_nothing_significant_or_clear_and_names_the_source(tmp_path):
    text = markup.markdown(document.document(write.find(imported(tmp_path)), {}))
    assert "No difference between strategies is called significant or clear here" in text
    assert "one seed, not judged" in text or "no reference" in text
    assert not re.search(r"[Ss]ignificantly|, clear\b|clearly worse", text)
    assert "Published runs (logs of github.com/fabian-sp/lr-scheduling" in text
    assert "called there: cooldown" in text
    assert "How sharing paid" not in text
    assert "50 thousand updates" in text


def test_the_flip_of_the_llama_logs_stands_in_the_report(llama):
    it, task = llama
    by_peak = peaks.entries(it, task, it.study.budgets(task)[-1])
    assert by_peak[SQRT, 0.0005].over.mean == pytest.approx(0.01297, abs=5e-6)
    assert by_peak[SQRT, 0.002].over.mean == pytest.approx(-0.01126, abs=5e-6)
    assert (by_peak[SQRT, 0.0005].rank, by_peak[SQRT, 0.002].rank) == (3, 7)
    assert any("The order flips with the peak LR" in line for line in peaks.flips(it, task))
    assert it.standing(task)[0] == "cooldown(warmup(constant, epochs=0.3), fraction=0.6)"  # where each is tuned
    found = Theory(it).agreements[task, 1.0]
    assert len(found.lines) == 11
    # the bounds tell 45 of the 55 pairs of 11 strategies apart, and 44 of these rightly: (44 - 1) / sqrt(45 * 55)
    assert found.tau.mean == pytest.approx(0.864, abs=5e-4)
    assert found.tau.half is None
