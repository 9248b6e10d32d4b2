"""One case: a good tree is mutated and read; an `AssertionError` says how the outcome is wrong."""

import hashlib
import os
import shutil
import sys
from collections import Counter
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

import datasets
import numpy as np

from bench.contract import InputError
from tasks.data.dataset import ROOT
from tests.fuzz.layouts import LAYOUTS
from tests.fuzz.mutations import DIGEST_ONLY, MUTATIONS, SUMS

SAME, REFUSED, ANOTHER = "the same values", "refused", "another set of the user's"


def case(number, seed=0, layout=None, mutation=None):
    """(layout, mutation, outcome) of a case; each is a function of its number and the seed.

    Raises:
        AssertionError: other values without a word, or a refusal that is no line or names nothing.
    """
    rng = np.random.default_rng([seed, number])
    layout = LAYOUTS[layout or layout_of(number)]
    tree, sums = layout.tree, rng.integers(3) == 0 and layout.name not in ("log", "suite")
    if sums:
        lines = (f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in tree.items())
        tree = tree | {SUMS: "".join(lines).encode()}
    names = [name for name in MUTATIONS if name not in DIGEST_ONLY or sums or layout.digest]
    while True:
        name = mutation or names[rng.integers(len(names))]
        change = MUTATIONS[name](tree, layout, rng)
        if change:
            break
    try:
        return layout.name, name, outcome(layout, change)
    except Exception as error:
        error.add_note(f"case {number} of seed {seed}: {layout.name}, {name}{', with SHA256SUMS' * bool(sums)}")
        error.add_note(f"changed: {', '.join(change.touched[:3])}")
        raise


def layout_of(number):
    return sorted(LAYOUTS)[number % len(LAYOUTS)]


def outcome(layout, change):
    good, root = values(layout), Path(mkdtemp())
    try:
        plant(change.tree, root)
        actual = read(layout, root)
    except InputError as error:
        line = str(error)
        assert "\n" not in line, f"more than a line: {line!r}"
        assert names(line, change, root), f"names nothing that is at fault: {line!r}"
        return REFUSED
    finally:
        shutil.rmtree(root)
    if actual == good:
        return SAME
    fewer, more = (good - actual).total(), (actual - good).total()
    allowed = layout.user and fewer <= change.fewer and more <= change.more
    assert allowed, f"other values without a word: {fewer} lost, {more} won of {good.total()}"
    return ANOTHER


def values(layout):
    """Values of the good tree; read once."""
    if layout.name not in _good:
        root = Path(mkdtemp())
        plant(layout.tree, root)
        _good[layout.name] = read(layout, root)
        shutil.rmtree(root)
    return _good[layout.name]


_good: dict[str, Counter] = {}


def plant(tree, root):
    for path, content in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def read(layout, root):
    """Values in a folder; caches are cleared afterwards."""
    before, cache = os.environ.get(ROOT), datasets.config.HF_DATASETS_CACHE
    os.environ[ROOT] = str(root)
    datasets.config.HF_DATASETS_CACHE = root / ".cache"
    try:
        return layout.read(root)
    finally:
        datasets.config.HF_DATASETS_CACHE = cache
        os.environ.pop(ROOT) if before is None else os.environ.update({ROOT: before})
        for module in [module for name, module in sys.modules.items() if name.startswith("tasks.")]:
            for name, value in vars(module).items():
                if name.startswith("_") and hasattr(value, "cache_clear"):
                    value.cache_clear()


def names(line, change, root):
    """True if a line names a file that was changed, a folder or part that it lies in, or the value put in."""
    words = {SUMS, *change.words, *(["sha256"] if SUMS in change.touched else [])}
    for path in map(PurePosixPath, change.touched):
        words |= {path.name, path.stem, *path.parts, path.stem.partition("-")[0]}
    words = {word.strip("[]. ").lower() for word in words if word.strip("[]. ")}
    return any(word in line.replace(str(root), "").lower() for word in words)
