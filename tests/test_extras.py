"""Extras: the modules in `bench.extras` are those of pyproject.toml, and a missing one is told in one line."""

import re
import tomllib

import pytest

from bench import extras
from bench.contract import InputError
from tests.runs import ROOT

IMPORTS = {"pillow": "PIL", "scikit_learn": "sklearn", "momo_opt": "momo", "protobuf": None}
"""Import names that are not the package's; None where the extra has another module to look for."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def modules(extra):
    names = [re.match(r"[\w-]+(\[.*\])?", text)[0] for text in PROJECT["optional-dependencies"][extra]]
    for name in names:
        if inner := re.fullmatch(r"glideslope\[(.*)\]", name):
            yield from (module for other in inner[1].split(",") for module in modules(other))
        elif module := IMPORTS.get(name.replace("-", "_"), name.replace("-", "_")):
            yield module


def test_each_extra_brings_the_modules_that_it_should():
    for extra, names in extras.EXTRAS.items():
        assert sorted(modules(extra)) == sorted(names)
    assert set(modules("all")) == {name for names in extras.EXTRAS.values() for name in names}
    assert set(PROJECT["optional-dependencies"]) == {*extras.EXTRAS, "all"}


def test_the_core_needs_no_extra():
    assert [text.partition(">")[0] for text in PROJECT["dependencies"]] == ["numpy", "rich"]


def test_what_is_missing_is_told_in_one_line(monkeypatch):
    extras.require("report", "bench")
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in ("wandb", "timm") else name)
    with pytest.raises(InputError, match=r"needs wandb, which is not installed: in the clone, pip install '\.\[wan"):
        extras.require("wandb", "report")
    assert extras.explain(ModuleNotFoundError(name="timm.data")).endswith("pip install '.[bench]'")
    assert extras.explain(ModuleNotFoundError(name="scipy.special")) is None  # it is there: something else is broken
    assert extras.explain(ModuleNotFoundError(name="numpyy")) is None


def test_a_report_is_not_removed_where_its_figures_cannot_be_drawn(monkeypatch, tmp_path):
    from bench.report import write

    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="scipy, scikit_posthocs, matplotlib, which are not installed"):
        write.write(tmp_path, None)
    assert (tmp_path / "report.html").read_text() == "old"
