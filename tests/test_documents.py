"""README and the other pages: commands, links and names in them are valid."""

import re
import shlex
import subprocess
from itertools import pairwise

import pytest

import schedules
import tasks
from bench.cli import main as cli
from bench.suites import SUITES
from tasks.data.registry import PACKS
from tests.runs import ROOT

TRACKED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
README, TASKS = (ROOT / "README.md").read_text(), (ROOT / "tasks" / "README.md").read_text()
PAGES = sorted(ROOT / name for name in TRACKED.stdout.split())


def block(page, name):
    text = (ROOT / page).read_text()
    return re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```\n<!-- end -->", text, flags=re.DOTALL).group(1)


def test_the_readme_opens_with_the_two_commands():
    main, tests = block("README.md", "command: main"), block("README.md", "command: tests")
    assert main.count("\n") == tests.count("\n") == 1
    assert "accelerate launch bench/run.py" in main
    assert "uv run pytest" in tests


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


COMMANDS = re.findall(r"^(?:glideslope|accelerate launch bench/run.py) .*", README, flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_readme_are_understood(line):
    words = shlex.split(line.replace("accelerate launch bench/run.py", "glideslope run"), comments=True)
    args = cli.parser().parse_args(words[1:])
    if getattr(args, "schedules", None):
        assert schedules.parse_list(args.schedules)


def test_the_readme_gives_the_answer_of_core_and_its_picture():
    """The first sentence of the published table; the report makes the picture."""
    answer = (ROOT / "results" / "core" / "table.md").read_text().split("\n\n")[1].replace("\\", "")
    assert f"<!-- answer of core -->\n> {answer}\n<!-- end -->" in README
    assert "](results/core/figures/answer.svg)" in README


def test_the_readme_says_what_a_task_of_ones_own_gets_unasked():
    (grid,) = SUITES["core"]().where(tasks=["table('wine.csv', target='quality')"]).grids
    *budgets, last = (f"{100 * budget:g}" for budget in grid.budgets)
    unasked = f"{len(grid.schedules)} schedules, {grid.seeds} seeds, and budgets of {', '.join(budgets)} and {last} %"
    assert f"in `core` {unasked} of the task's epochs" in README
    assert f"{last} % of a task's epochs at most" in TASKS


def test_the_page_of_tasks_tells_of_every_task():
    assert set(re.findall(r"^\| `(\w+)`", TASKS, flags=re.MULTILINE)) == set(tasks.CATALOGUE)


def test_the_page_of_tasks_tells_of_every_data_set():
    for pack in PACKS.values():
        layouts = " or ".join(pack.layouts)
        assert f"| {pack.title} | `{pack.name}` | {layouts} | {pack.size} | {pack.licence} | {pack.check} |" in TASKS


def test_the_suites_name_what_there_is():
    for make in SUITES.values():
        for grid in make().grids:
            assert tasks.parse(grid.task).name == grid.task
            assert [schedules.parse(text).text for text in grid.schedules] == list(grid.schedules)


def test_core_has_what_it_promises():
    """The strategies, budgets, peak LRs and seeds that the README and the issue name."""
    core = SUITES["core"]()
    by_task = {g.task: g for g in core.grids}
    names = {"constant", "exponential", "step", "piecewise", "stages", "polynomial", "linear", "cosine"}
    names |= {"inverse_sqrt", "rex", "wsd", "onecycle", "plateau"}
    budgets = {
        "digits": (0.05, 0.1, 0.25),
        "mnist5k": (0.1, 0.25),
        "vowels": (0.25, 0.5),
        "digits(model='cnn')": (0.05, 0.1),
        "grammar": (0.5,),
        "scenes": (0.25,),
        "linreg": (0.05, 0.1, 0.25),
        "quadratic": (0.05, 0.1, 0.25),
    }
    assert {task: grid.budgets for task, grid in by_task.items()} == budgets
    for task, grid in by_task.items():
        tunnel = tasks.parse(task).family == "tunnel"
        main = task in ("digits(model='cnn')", "grammar", "scenes")
        words = {s.partition("(")[0] for s in grid.schedules}
        assert words == ({"constant", "linear", "cosine", "wsd"} if main else names)
        assert len(grid.schedules) == (4 if main else 14)
        assert grid.seeds == (3 if tunnel else 8)
        peaks = grid.peak_lrs or tasks.parse(task).peak_lrs
        if not tunnel:
            assert len(peaks) == (4 if task in ("grammar", "scenes") else 5)
            assert [high / low for low, high in pairwise(peaks)] == pytest.approx([2.0] * (len(peaks) - 1))
    assert {tasks.parse(g.task).family for g in core.grids} == {"image", "detection", "text", "speech", "tunnel"}
