"""The shape of the house: imports point down, files and functions stay small, names stay clear of others."""

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import get_args

import pytest

from bench.contract import Layers
from bench.layers import LAYERS
from bench.metrics import METRICS

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(p for folder in ("bench", "schedules", "tasks") for p in (ROOT / folder).rglob("*.py"))

# From top to bottom: a file imports from rooms below its own, or from its own. CONTRIBUTING.md explains the rooms.
ROOMS = [
    "bench.run",
    "bench.api",
    "bench.cli",
    "bench.slurm",
    "bench.export",
    "bench.runner",
    "bench.tracking",
    "bench.conformance",
    "bench.report",
    "bench.analysis",
    "bench.train",
    "bench.engine",
    "bench.strategies",
    "bench.suites",
    "bench.plan",
    "tasks",
    "bench.ledger",
    "bench.preempt",
    "bench.code_digest",
    "bench.extras",
    "bench.layers",
    "bench.metrics",
    "bench.contract",
    "bench.data",
    "bench.numerics",
    "bench.to_device",
    "schedules",
]


def module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name):
    """The room that a module lies in; None for what is not ours."""
    return next((key for key in ROOMS if name == key or name.startswith(key + ".")), None)


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
        assert module(path) == "bench", f"{module(path)} is in no room"
        return
    for name in imports(path):
        there = room(name)
        if there is not None:
            assert ROOMS.index(there) >= ROOMS.index(here), f"{module(path)} imports {name}, which is above it"


def test_no_folder_is_crowded():
    """`schedules` apart, where one file is one family."""
    folders = Counter(path.parent for path in (*FILES, *(ROOT / "tests").rglob("*.py")))
    crowded = {str(folder.relative_to(ROOT)): n for folder, n in folders.items() if n > 14}
    assert set(crowded) <= {"schedules", "tests/schedules"}, crowded


def test_paths_of_a_run_are_spelt_in_one_module():
    spelt = {"snapshots", "traces", "cohorts.json", "jobs.json", "part-000.jsonl"}
    for path in FILES:
        if path.is_relative_to(ROOT / "bench") and module(path) not in ("bench.ledger.paths", "bench.ledger.deposit"):
            texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            assert not texts & spelt, f"{module(path)} spells a path of a run's directory"


def test_keys_of_rows_are_spelt_in_the_ledger_alone():
    """Others read typed rows; a subscript of a payload, or of a row, would spell a key."""
    for path in FILES:
        if path.is_relative_to(ROOT / "bench" / "ledger"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                assert holder not in ("payload", "cell_row", "facts", "plan"), f"{module(path)}: {ast.unparse(node)}"


def test_there_is_one_list_of_layers():
    assert set(LAYERS) == set(get_args(Layers))
    for path in FILES:
        if not path.is_relative_to(ROOT / "tasks") and module(path) not in ("bench.layers", "bench.contract"):
            texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            assert not texts & {"conv2d", "recurrent", "detector"}, f"{module(path)} spells layers again"


def test_every_metric_of_our_tasks_is_in_the_one_list():
    spelt = {node.value for path in FILES if path.is_relative_to(ROOT / "tasks") for node in headlines(path)}
    assert spelt
    assert spelt <= METRICS.keys()


def headlines(path):
    """Constants that a task's settings name as its metric."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "metric" and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "metric" and isinstance(value, ast.Constant):
                    yield value


def test_a_class_name_occurs_once():
    names = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                names[node.name].append(module(path))
    assert not {name: places for name, places in names.items() if len(places) > 1}


PRONOUNS = frozenset(
    [
        "it",
        "its",
        "he",
        "they",
        "them",
        "their",
        "theirs",
        "ours",
        "mine",
        "this",
        "that",
        "these",
        "those",
        "what",
        "who",
        "whom",
        "whose",
        "which",
        "here",
        "there",
        "everyone",
        "everybody",
        "everything",
        "somebody",
        "something",
        "nobody",
        "nothing",
        "anybody",
        "anything",
    ]
)
PARTICIPLES = frozenset(
    [
        "said",
        "told",
        "found",
        "seen",
        "held",
        "made",
        "given",
        "taken",
        "kept",
        "gone",
        "done",
        "known",
        "asked",
        "named",
        "written",
        "built",
        "shown",
        "meant",
        "left",
        "lost",
        "begun",
        "spelt",
        "drawn",
        "thought",
        "brought",
        "caught",
        "felt",
        "wished",
        "chosen",
        "called",
        "used",
        "needed",
        "wanted",
        "counted",
        "anew",
        "apart",
        "together",
        "again",
    ]
)


def identifiers(tree):
    """Names that are bound, read or taken as an attribute, an argument or a keyword."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def test_identifiers_are_no_pronouns_and_no_bare_participles():
    every = Counter()
    for path in FILES:
        every.update(name.lstrip("_") for name in identifiers(ast.parse(path.read_text())))
    vague = {name: n for name, n in every.items() if name in PRONOUNS | PARTICIPLES}
    assert sum(vague.values()) <= 0.002 * every.total(), vague


def test_docstrings_begin_with_a_noun_or_a_verb():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                first = (ast.get_docstring(node) or "x").split()[0]
                assert first not in {"What", "How", "Who", "Where"}, f"{module(path)}: {first} ..."


@pytest.mark.parametrize("path", FILES, ids=module)
def test_files_and_functions_fit_their_budgets(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 300, f"{module(path)} is longer than 300 lines"
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


@pytest.mark.parametrize("module_name", ["bench.cli.main", "schedules", "tasks", "bench.plan"])
def test_planning_and_help_do_not_import_torch(module_name):
    code = f"import sys, {module_name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT).returncode == 0
