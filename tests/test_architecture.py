"""The shape of the house: imports point down, files and functions stay small, names stay clear of others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(p for folder in ("bench", "schedules", "tasks") for p in (ROOT / folder).rglob("*.py"))

# The table of levels: a file imports from lower levels only, or from its own folder.
LEVELS = {
    "bench.data": 0,
    "bench.numerics": 0,
    "bench.contract": 0,
    "schedules.spec": 1,
    "bench.plan.task_checks": 1,
    "bench.cli.options": 1,
    "schedules.user_code": 1,
    "bench.code_digest.digest": 1,
    "bench.code_digest.normal_form": 1,
    "bench.code_digest.scopes": 1,
    "bench.train.roster": 1,
    "bench.plan": 1,
    "bench.plan.packing": 1,
    "bench.ledger": 1,
    "bench.plan.suite_file": 2,
    "schedules": 1,
    "tasks": 2,
    "bench.engine": 2,
    "bench.train.io": 2,
    "bench.train.decisions": 2,
    "bench.train.loop": 3,
    "bench.plan.forecast": 3,
    "bench.report": 3,
    "bench.runner.worker": 4,
    "bench.runner.pool": 4,
    "bench.suites": 4,
    "bench.plan.extension": 3,
    "bench.runner.config": 4,
    "bench.runner.rendezvous": 1,
    "bench.runner.distributed": 1,
    "bench.runner.progress": 1,
    "bench.slurm": 4,
    "bench.runner.run_dir": 4,
    "bench.runner.session": 4,
    "bench.runner.preview": 4,
    "bench.report.catalogue": 4,
    "bench.report.gallery": 4,
    "bench.conformance": 4,
    "bench.tracking": 4,
    "bench.cli": 5,
    "bench.run": 6,
}
ORDER_WITHIN_LEVEL = [
    "bench.data",
    "bench.numerics",
    "bench.contract",
    "bench.runner.worker",
    "bench.runner.pool",
    "bench.suites",
    "bench.runner.config",
    "bench.runner.run_dir",
    "bench.slurm",
    "bench.tracking",
    "bench.runner.session",
    "bench.runner.preview",
    "bench.report.catalogue",
    "bench.report.gallery",
]


def module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name):
    """The entry of the table that a module lies in; None for what is not ours."""
    return next((key for key in LEVELS if name == key or name.startswith(key + ".")), None)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if room(deeper) else node.module


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_down(path):
    here = room(module(path))
    if here is None:
        assert module(path) == "bench", f"{module(path)} has no place in the table of levels"
        return
    for name in imports(path):
        there = room(name)
        if there is None or there == here:
            continue
        down = LEVELS[there] < LEVELS[here]
        beside = LEVELS[there] == LEVELS[here] and (
            LEVELS[here] == 1
            or (here in ORDER_WITHIN_LEVEL and ORDER_WITHIN_LEVEL.index(there) < ORDER_WITHIN_LEVEL.index(here))
        )
        assert down or beside, f"{module(path)} (level {LEVELS[here]}) imports {name} (level {LEVELS[there]})"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_files_and_functions_fit_their_budgets(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 250, f"{module(path)} is longer than 250 lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            lines = node.end_lineno - node.lineno + 1 - documentation(node)
            assert lines <= 40, f"{module(path)}.{node.name} has {lines} lines of code, 40 at most"
            contract = module(path) in ("schedules", "tasks") or has_keywords_only(node)
            assert count <= 6 or contract, f"{module(path)}.{node.name} takes {count} arguments, 6 at most"


def documentation(node):
    first = node.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return first.end_lineno - first.lineno + 1 if text else 0


def has_keywords_only(node):
    """A schedule's or task's settings are keyword-only, each a choice of the user's; they may be more than six."""
    return len(node.args.args) <= 2 and len(node.args.kwonlyargs) > 0


def test_no_module_is_named_vaguely_or_like_another():
    vague = {"utils", "helpers", "common", "misc", "base", "util", "helper"}
    for path in FILES:
        assert path.stem not in vague
        if path.parent == ROOT / "bench":
            assert path.stem not in sys.stdlib_module_names, f"bench/{path.name} would shadow a standard module"


def test_the_project_names_the_shared_folder_only_in_tests():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, files):
        path = ROOT / name
        if not name.startswith(("tests/", ".ci/")) and path.is_file() and path.stat().st_size < 1e6:
            assert "../shared" not in path.read_text(errors="ignore"), name


@pytest.mark.parametrize("module_name", ["bench.cli", "schedules", "tasks", "bench.plan"])
def test_planning_and_help_do_not_import_torch(module_name):
    code = f"import sys, {module_name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT).returncode == 0
