"""Digests of task code: they change with behaviour, and with nothing else."""

import textwrap

import pytest

from bench.code_digest.digest import EQUAL, Target, file, of, of_target
from bench.contract import InputError
from tasks import CATALOGUE, parse

PLAIN = {
    "task.py": """
        from functools import cache
        import numpy as np
        from parts import layers
        from parts.losses import loss
        RATE = 0.5
        class Head:
            size: int = 4
            def grow(self, by):
                return self.size * by
        def other():
            return 1
        def task(width=16, *, deep=False):
            'What it is.'
            def inner(x):
                return x + RATE
            hidden = [layers.model(width, n) for n in range(3)]
            return hidden, inner, loss, Head().grow(2), np.zeros(3), made()
        @cache
        def made():
            try:
                return even(3)
            except ValueError as error:
                raise InputError(f"no {error}") from None
        def even(n):
            return n == 0 or odd(n - 1)
        def odd(n):
            return n != 0 and even(n - 1)
    """,
    "parts/__init__.py": "",
    "parts/layers.py": """
        from . import sizes
        def model(a, b):
            return [a * sizes.HIDDEN, b]
        def unused():
            return 2
    """,
    "parts/sizes.py": "HIDDEN = 8\nUNUSED = 9\n",
    "parts/losses.py": "def loss(a, b):\n    return (a - b) ** 2\n",
}


@pytest.fixture
def mark(tmp_path):
    number = 0

    def mark(name="task", files=PLAIN, **changes):
        """Digest of the task after (old, new) texts are exchanged in its files."""
        nonlocal number
        number += 1
        text = {k: textwrap.dedent(v) for k, v in files.items()}
        for old, new in changes.get("swap", ()):
            assert any(old in v for v in text.values()), old
            text = {k: v.replace(old, new) for k, v in text.items()}
        for path, body in (text | changes.get("more", {})).items():
            target = tmp_path / str(number) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(body)
        at = file((tmp_path / str(number) / "task.py").resolve())
        return of_target(Target(at, name))

    return mark


SAME = {
    "comment": [("RATE = 0.5", "RATE = 0.5  # half")],
    "docstring": [("'What it is.'", "'Something else.'")],
    "layout": [("return [a * sizes.HIDDEN, b]", "return [\n        a * sizes.HIDDEN,\n        b,\n    ]")],
    "annotation": [("def model(a, b):", "def model(a: int, b: 'float') -> list:")],
    "local": [("hidden", "layers_of_it")],
    "local of a comprehension": [("(width, n) for n in", "(width, k) for k in")],
    "nested function": [("inner", "within")],
    "helper's name": [("made", "built")],
    "constant's name": [("RATE", "SHARE")],
    "module's name for another": [("from parts import layers", "import parts.layers as layers")],
    "import inside the function": [
        ("from parts.losses import loss\n", "\n"),
        ("'What it is.'", "from parts.losses import loss"),
    ],
    "alias of a library": [("import numpy as np", "import numpy"), ("np.zeros", "numpy.zeros")],
    "unused helper": [("return 1", "return 100")],
    "unused helper of another file": [("return 2", "return 200"), ("UNUSED = 9", "UNUSED = 10")],
    "order of definitions": [("RATE = 0.5\n", ""), ("def other", "RATE = 0.5\ndef other")],
    "words of a refusal": [("no {error}", "there is no {error}")],
    "name of an error": [(" as error", " as e"), ("{error}", "{e}")],
}

OTHER = {
    "constant": [("RATE = 0.5", "RATE = 0.25")],
    "operator": [("x + RATE", "x - RATE")],
    "called function": [("np.zeros", "np.ones")],
    "default": [("width=16", "width=2")],
    "keyword's default": [("deep=False", "deep=True")],
    "name of a parameter": [("width", "size")],
    "decorator": [("@cache\n", "")],
    "nested helper": [("x + RATE", "x + RATE + 1")],
    "width in another file": [("HIDDEN = 8", "HIDDEN = 2")],
    "loss": [("** 2", "** 4")],
    "class body": [("size: int = 4", "size: int = 5")],
    "method": [("self.size * by", "self.size + by")],
    "order of arguments": [("[a * sizes.HIDDEN, b]", "[b, a * sizes.HIDDEN]")],
    "which of two locals": [("(a - b)", "(a - a)")],
    "recursion": [("odd(n - 1)", "odd(n - 2)")],
    "item added to a constant": [("RATE = 0.5", "RATE = 0.5\nRATE += 1")],
    "effect of the import": [("RATE = 0.5", "RATE = 0.5\nnp.random.seed(1)")],
    "another helper": [("from parts.losses import loss", "from parts.layers import unused as loss")],
}


@pytest.mark.parametrize("swap", SAME.values(), ids=SAME)
def test_what_changes_nothing_changes_no_digest(mark, swap):
    assert mark(swap=swap) == mark()


@pytest.mark.parametrize("swap", OTHER.values(), ids=OTHER)
def test_what_changes_something_changes_the_digest(mark, swap):
    assert mark(swap=swap) != mark()


def test_a_helper_may_move_to_another_file_and_a_file_to_another_place(mark):
    moved = [("from parts.losses import loss", "from elsewhere.deep import loss")]
    more = {"elsewhere/__init__.py": "", "elsewhere/deep.py": textwrap.dedent(PLAIN["parts/losses.py"])}
    assert mark(swap=moved, more=more) == mark()
    shadowed = {"parts/losses.py": "from parts.other import *\n", "parts/other.py": PLAIN["parts/losses.py"]}
    assert mark(more=shadowed) == mark()


def test_a_package_may_import_its_own_modules(mark):
    face = {"parts/__init__.py": "from parts import layers, losses\n"}
    assert mark(more=face) == mark()
    assert mark(more=face, swap=[("return [a * sizes.HIDDEN, b]", "return [a, b]")]) != mark()


def test_a_file_whose_names_are_looked_up_at_run_time_counts_whole(mark):
    swap = [("layers.model(width, n)", "getattr(layers, 'model')(width, n)")]
    assert mark(swap=swap) != mark(swap=[*swap, ("return 2", "return 200")])


def test_installed_code_counts_by_its_name_and_that_of_bench_wherever_it_lies(mark):
    one = mark(swap=[("RATE = 0.5", "from bench.contract import Data as RATE")])
    assert one == mark(swap=[("RATE = 0.5", "from bench.data import Data as RATE")])
    assert one != mark(swap=[("RATE = 0.5", "from bench.data import Split as RATE")])


def test_code_that_was_rewritten_to_the_same_effect_keeps_its_digest(monkeypatch):
    mark = of(CATALOGUE["linreg"])
    monkeypatch.setitem(EQUAL, mark, "before")
    of.cache_clear()
    assert of(CATALOGUE["linreg"]) == "before"
    monkeypatch.undo()
    of.cache_clear()
    assert of(CATALOGUE["linreg"]) == mark


def test_every_task_says_what_its_code_is():
    assert all(len(of(function)) == 12 for function in CATALOGUE.values())
    assert parse("digits").code == of(CATALOGUE["digits"]) != parse("vowels").code


HELPER = {"helper.py": "def build():\n    return 16\n", "deep/__init__.py": "", "deep/one.py": "ONE = 16\n"}

CALLS = {
    "import_module": "importlib.import_module('helper').build()",
    "__import__": "__import__('helper').build()",
    "by keyword": "importlib.import_module(name='helper').build()",
    "alias of the function": "load('helper').build()",
    "in a helper": "through().build()",
    "inside a lambda": "(lambda: importlib.import_module('helper'))().build()",
    "of a package": "importlib.import_module('deep.one').ONE",
    "relative": "importlib.import_module('.helper', __package__).build()",
    "any of a package": "importlib.import_module(f'deep.{width}').ONE",
    "any of a package, by +": "importlib.import_module('deep.' + str(width)).ONE",
    "any of a package, by %": "importlib.import_module('deep.%s' % width).ONE",
    "run_module": "runpy.run_module('helper')['build']()",
    "run_path": "runpy.run_path('helper.py')['build']()",
    "by location": "importlib.util.spec_from_file_location('x', Path(__file__).with_name('helper.py'))",
    "resolve_name": "pkgutil.resolve_name('helper:build')()",
    "sys.modules": "sys.modules['helper'].build()",
    "sys.modules.get": "sys.modules.get('helper').build()",
    "builtins": "builtins.__import__('helper').build()",
}
TOP = """
        RATE = 0.5
        import builtins, importlib, importlib.util, pkgutil, runpy, sys
        from importlib import import_module as load
        from pathlib import Path
        def through():
            return load('helper')
"""


def calling(expression):
    return [("        RATE = 0.5\n".strip(), textwrap.dedent(TOP).strip()), ("made()\n", f"made(), {expression}\n")]


@pytest.mark.parametrize("name", CALLS)
def test_a_module_that_a_call_imports_is_code(mark, name):
    swap = calling(CALLS[name])
    changed = {path: text.replace("16", "2") for path, text in HELPER.items()}
    assert mark(swap=swap, more=HELPER) == mark(swap=swap, more=HELPER)
    assert mark(swap=swap, more=changed) != mark(swap=swap, more=HELPER)
    unread = HELPER | {"other.py": "X = 1\n"}
    assert mark(swap=swap, more=unread) == mark(swap=swap, more=HELPER)


UNKNOWN = {
    "a variable": "importlib.import_module(width)",
    "an unfinished name": "importlib.import_module(f'help{width}')",
    "of the module itself": "getattr(importlib, 'import_module')('helper')",
    "of the result of a call": "__import__('importlib').import_module('helper').build()",
    "an entry of sys.modules": "sys.modules[width]",
    "by another name": "list(map(importlib.import_module, ['helper']))",
    "the built-in by another name": "list(map(__import__, ['helper']))",
    "a path": "runpy.run_path(width)",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_module_that_nobody_can_tell_is_refused_in_one_line(mark, name):
    with pytest.raises(InputError, match=r"task\.py, line \d+: it imports a module whose name is not") as it:
        mark(swap=calling(UNKNOWN[name]), more=HELPER)
    assert "\n" not in str(it.value)


def test_an_installed_module_that_a_call_imports_counts_by_its_name(mark):
    for one, other in (("'torch.nn'", "'torch.optim'"), ("f'torch.{width}'", "f'numpy.{width}'")):
        marks = [mark(swap=calling(f"importlib.import_module({text})")) for text in (one, one, other)]
        assert marks[0] == marks[1] != marks[2]
