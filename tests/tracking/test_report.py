"""The report, as the server has it: every panel is there and shows, from the server's runs, what the tables say."""

import statistics

import pytest

from bench.analysis import ranking
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.tracking import report, scores
from bench.tracking.artifact import Place, Version, upload
from tests.analysis import rows as synthetic
from tests.tracking.bank import ENTITY, Run
from tests.tracking.panels import shown, text

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


def mirror(bank, it):
    """What the mirror brings to the server, put there: cells with an LR curve of two steps, and the scores."""
    plan = it.study.plan
    bank.project(*PLACE)

    def put(name, job_type, config, history, summary):
        wrapped = {key: {"value": value} for key, value in (config | {"plan": plan.plan}).items()}
        run = Run(*PLACE, name, job_type=job_type, config=wrapped, history=history, summary=summary)
        bank.runs[run.key] = run

    for i, t in enumerate(it.study.tries):
        about = {key: getattr(t, key) for key in ("task", "strategy", "budget", "peak_lr", "seed")}
        curve = [{"step": s, "epoch": s / 30, "lr": t.peak_lr / (1 + s)} for s in range(2)]
        put(f"{plan.plan}-{i}", t.task, about, curve, {} if t.final is None else {"final": t.final})
    for run in scores.of_comparison(it):
        put(run.id, run.job_type, run.config, run.history, run.summary)


@pytest.fixture
def saved(standin):
    """A comparison, published beside another plan's runs; and the panels that the server then shows."""
    it = comparison()
    mirror(standin.bank, comparison("another"))
    mirror(standin.bank, it)
    report.publish(it, PLACE, LEDGER)
    (view,) = standin.bank.views.values()
    return it, view, {panel.heading: panel for panel in shown(view, standin.bank)}


def means(line):
    return {x: statistics.fmean(values) for x, values in line.items()}


def test_every_panel_is_there_and_shows_what_the_tables_say(saved):
    it, _view, panels = saved
    for task in (DIGITS, RIVAL):
        seeds, budgets = it.study.tasks[task]["seeds"], it.study.budgets(task)
        final = panels.pop(f"{task}: final test accuracy against epoch budget")
        assert final.config["groupArea"] == "stderr"
        assert set(final.points) == set(STRATEGIES)
        for strategy, line in final.points.items():
            scored = {b: it.at(task, b)[strategy].score for b in budgets}
            expected = {s.tries[0].epochs: s.final.mean for s in scored.values() if s.final}
            whole = {x: mean for x, mean in means(line).items() if len(line[x]) == len(seeds)}
            assert whole == pytest.approx(expected)

        by_lr = panels.pop(f"{task}: sensitivity to the peak LR, at the largest budget")
        assert by_lr.config["xLogScale"] is True
        for strategy, line in by_lr.points.items():
            score = it.full(task)[strategy].score
            for lr in score.peak_lrs:
                interval, diverged, tries = score.at_peak(lr)
                assert len(line.get(lr, ())) == tries - diverged
                assert interval is None or statistics.fmean(line[lr]) == pytest.approx(interval.mean)

        dots = panels.pop(f"{task}: every cell at the largest budget")
        tries = [t for t in it.study.tries if t.task == task and t.budget == 1 and t.final is not None]
        assert sorted(dots.points.values()) == sorted((t.peak_lr, t.final) for t in tries)

        curves = panels.pop(f"{task}: LR curves at peak LR 0.1, seed 0")
        assert curves.points == {s: {0.0: [0.1], 1 / 30: [0.05]} for s in STRATEGIES}

    ranks = panels.pop("Ranks")
    (panel,) = ranking.panels(it)
    for i, strategy in enumerate(panel.strategies):
        expected = {budget: mean[i] for budget, (mean, _) in panel.means.items()}
        assert means(ranks.points[strategy]) == pytest.approx(expected)
    assert panels == {}


def test_the_tables_stand_beside_the_panels_with_provenance_and_the_ledger(saved):
    _, view, _ = saved
    said = "\n".join(text(block) for block in view.blocks)
    assert "mean ± half of the 95 % interval" in said
    assert "n = 3 seeds" in said
    assert "Mean rank of 4 strategies" in said
    assert "final test accuracy by peak LR" in said
    assert "commit 0123456789abcdef" in said
    assert LEDGER.name in said
    headings = [text(block) for block in view.blocks if block["type"] == "heading" and block["level"] == 1]
    opening = ["Glideslope: synthetic", "Against constant", "By task and budget", "Across tasks"]
    judged = ["Theory beside measurement", "What the textbook claims of learning-rate decay"]
    assert headings == [*opening, DIGITS, RIVAL, *judged, "How sharing paid", "Provenance"]
    assert LEDGER.url in view.spec


def test_publishing_again_updates_the_same_report_and_keeps_what_was_published(standin):
    it = comparison()
    standin.bank.project(*PLACE)
    seen = []
    for final in (False, False, True, False):
        url = report.publish(it, PLACE, LEDGER, final=final)
        (view,) = standin.bank.views.values()
        seen.append((url, view.type))
    assert [kind for _, kind in seen] == ["runs/draft", "runs/draft", "runs", "runs"]
    assert len({url for url, _ in seen}) == 1
    report.publish(comparison("another"), PLACE, LEDGER)
    assert len(standin.bank.views) == 2  # each plan has a report of its own


def test_a_saved_report_loads_again_and_selects_the_same_runs(saved, standin):
    import wandb_workspaces.reports.v2 as wr

    _, view, _ = saved
    before = [(panel.heading, [run.name for run in panel.runs]) for panel in shown(view, standin.bank)]
    again = wr.Report.from_url(f"{standin.url}/{ENTITY}/p/reports/x--{view.id.rstrip('=')}")
    again.save()
    (view,) = standin.bank.views.values()
    assert [(panel.heading, [run.name for run in panel.runs]) for panel in shown(view, standin.bank)] == before


def test_a_title_fits_however_long_the_suite_is_called():
    it = comparison(suite="s" * 300)
    assert len(report.title(it)) == report.LONGEST
    assert report.title(it).endswith("(plan0)")


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
    held = standin.bank.artifacts
    assert [a.files for a in held] == [{"part-000.jsonl": b"a row\n"}, {"part-000.jsonl": b"a row\nanother\n"}]
    assert {run.state for run in standin.runs("p").values()} == {"finished"}
