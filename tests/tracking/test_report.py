"""The report as the server has it: every panel exists, and shows the values of the tables from the server's runs."""

import statistics

import pytest

from bench.analysis import ranking
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.tracking import report, scores
from bench.tracking.artifact import Place, Version, upload
from tests.analysis import rows as synthetic
from tests.tracking.standin.bank import ENTITY, Run
from tests.tracking.standin.panels import read_panels, text

PLACE = Place(ENTITY, "p")
LEDGER = Version("ledger-plan0:v0", "http://127.0.0.1/ledger")
STRATEGIES = ("constant", "cosine", "wsd(cooldown=0.2, shape='sqrt')", "onecycle")
DIGITS, RIVAL = "digits(model='cnn')", "digits(model='mlp')"  # the client mangles "=" in filters that don't hide it


def comparison(plan="plan0", **changes):
    facts = synthetic.task(strategies=STRATEGIES)
    rows = synthetic.ledger({DIGITS: facts, RIVAL: facts | {"direction": "min"}})
    for row in rows:
        if row.kind == "plan":
            row.payload.update(plan=plan, **changes)
    return Comparison(Study.of(rows))


def mirror(bank, comparison):
    """Store the runs that the mirror brings to the server: cells with an LR curve of two steps, and scores."""
    plan = comparison.study.plan
    bank.project(*PLACE)

    def add(name, job_type, config, history, summary):
        wrapped = {key: {"value": value} for key, value in (config | {"plan": plan.plan}).items()}
        run = Run(*PLACE, name, job_type=job_type, config=wrapped, history=history, summary=summary)
        bank.runs[run.key] = run

    for i, t in enumerate(comparison.study.tries):
        config = {key: getattr(t, key) for key in ("task", "strategy", "budget", "peak_lr", "seed")}
        curve = [{"step": s, "epoch": s / 30, "lr": t.peak_lr / (1 + s)} for s in range(2)]
        add(f"{plan.plan}-{i}", t.task, config, curve, {} if t.final is None else {"final": t.final})
    for run in scores.of_comparison(comparison):
        add(run.id, run.job_type, run.config, run.history, run.summary)


@pytest.fixture
def saved(standin):
    """A comparison published next to another plan's runs, its view, and the panels that the server then shows."""
    published = comparison()
    mirror(standin.bank, comparison("another"))
    mirror(standin.bank, published)
    report.publish(published, PLACE, LEDGER)
    (view,) = standin.bank.views.values()
    return published, view, {panel.heading: panel for panel in read_panels(view, standin.bank)}


def means(line):
    return {x: statistics.fmean(values) for x, values in line.items()}


def test_every_panel_is_there_and_shows_what_the_tables_say(saved):
    published, _view, panels = saved
    for task in (DIGITS, RIVAL):
        seeds, budgets = published.study.tasks[task].seeds, published.study.budgets(task)
        final = panels.pop(f"{task}: final test accuracy against epoch budget")
        assert final.config["groupArea"] == "stderr"
        assert set(final.points) == set(STRATEGIES)
        for strategy, line in final.points.items():
            scored = {b: published.at(task, b)[strategy].score for b in budgets}
            expected = {s.tries[0].epochs: s.final.mean for s in scored.values() if s.final}
            whole = {x: mean for x, mean in means(line).items() if len(line[x]) == len(seeds)}
            assert whole == pytest.approx(expected)

        by_lr = panels.pop(f"{task}: sensitivity to the peak LR, at the largest budget")
        assert by_lr.config["xLogScale"] is True
        for strategy, line in by_lr.points.items():
            score = published.full(task)[strategy].score
            for lr in score.peak_lrs:
                interval, diverged, tries = score.at_peak(lr)
                assert len(line.get(lr, ())) == tries - diverged
                assert interval is None or statistics.fmean(line[lr]) == pytest.approx(interval.mean)

        dots = panels.pop(f"{task}: every cell at the largest budget")
        tries = [t for t in published.study.tries if t.task == task and t.budget == 1 and t.final is not None]
        assert sorted(dots.points.values()) == sorted((t.peak_lr, t.final) for t in tries)

        curves = panels.pop(f"{task}: LR curves at peak LR 0.1, seed 0")
        assert curves.points == {s: {0.0: [0.1], 1 / 30: [0.05]} for s in STRATEGIES}

    ranks = panels.pop("Ranks")
    (panel,) = ranking.panels(published)
    for i, strategy in enumerate(panel.strategies):
        expected = {budget: mean[i] for budget, (mean, _) in panel.means.items()}
        assert means(ranks.points[strategy]) == pytest.approx(expected)
    assert panels == {}


def test_the_tables_stand_beside_the_panels_with_provenance_and_the_ledger(saved):
    _, view, _ = saved
    content = "\n".join(text(block) for block in view.blocks)
    assert "mean ± half of the 95 % interval" in content
    assert "n = 3 seeds" in content
    assert "Mean rank of 4 strategies" in content
    assert content.index("Not decided: ") < content.index("mean ± half of the 95 % interval")
    assert "commit 0123456789abcdef" in content
    assert LEDGER.name in content
    headings = [text(block) for block in view.blocks if block["type"] == "heading" and block["level"] == 1]
    judged = ["The test behind the answer", "Across tasks", "Theory beside measurement"]
    judged += ["What the textbook claims of learning-rate decay", "How to read the tables"]
    assert headings == ["Glideslope: synthetic", DIGITS, RIVAL, *judged, "How sharing paid", "Provenance"]
    assert LEDGER.url in view.spec


def test_publishing_again_updates_the_same_report_and_keeps_what_was_published(standin):
    published = comparison()
    standin.bank.project(*PLACE)
    reports = []
    for final in (False, False, True, False):
        url = report.publish(published, PLACE, LEDGER, final=final)
        (view,) = standin.bank.views.values()
        reports.append((url, view.type))
    assert [kind for _, kind in reports] == ["runs/draft", "runs/draft", "runs", "runs"]
    assert len({url for url, _ in reports}) == 1
    report.publish(comparison("another"), PLACE, LEDGER)
    assert len(standin.bank.views) == 2  # each plan has a report of its own


def test_a_saved_report_loads_again_and_selects_the_same_runs(saved, standin):
    import wandb_workspaces.reports.v2 as wr

    _, view, _ = saved
    before = [(panel.heading, [run.name for run in panel.runs]) for panel in read_panels(view, standin.bank)]
    loaded = wr.Report.from_url(f"{standin.url}/{ENTITY}/p/reports/x--{view.id.rstrip('=')}")
    loaded.save()
    (view,) = standin.bank.views.values()
    assert [(panel.heading, [run.name for run in panel.runs]) for panel in read_panels(view, standin.bank)] == before


def test_a_title_fits_however_long_the_suite_is_called():
    long = comparison(suite="s" * 300)
    assert len(report.title(long)) == report.LONGEST
    assert report.title(long).endswith("(plan0)")


def test_the_ledger_becomes_an_artifact_with_a_new_version_only_where_its_bytes_are_new(standin, tmp_path):
    part = tmp_path / "ledger" / "part-000.jsonl"
    part.parent.mkdir()
    part.write_text("a row\n")
    first = upload(tmp_path, PLACE, "plan0")
    assert first == upload(tmp_path, PLACE, "plan0")
    part.write_text("a row\nanother\n")
    second = upload(tmp_path, PLACE, "plan0")
    assert [first.name, second.name] == ["ledger-plan0:v0", "ledger-plan0:v1"]
    assert second.url == f"{standin.url}/{ENTITY}/p/artifacts/ledger/ledger-plan0/v1"
    assert [a.files for a in standin.bank.artifacts] == [
        {"part-000.jsonl": b"a row\n"},
        {"part-000.jsonl": b"a row\nanother\n"},
    ]
    assert {run.state for run in standin.runs("p").values()} == {"finished"}
