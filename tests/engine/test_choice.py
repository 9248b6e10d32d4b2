"""The rule of `--engine auto`: deterministic, and as its text says."""

import dataclasses
import itertools
import re
from typing import get_args

import pytest

from bench import engine
from bench.contract import InputError, Layers
from bench.layers import LAYERS
from bench.strategies import optimizers
from tests.engine.toys import toy

CASES = list(itertools.product(get_args(Layers), optimizers.CATALOGUE, (1, 3, 4, 40)))


def test_the_rule_chooses_what_its_text_says():
    assert "4 cells or more" in engine.RULE
    assert "an optimizer of adam, adamw, sgd," in engine.RULE
    stacked_layers = re.search(r"for the layers (.*); modules otherwise", engine.RULE)[1].split(", ")
    assert "recurrent" not in stacked_layers
    for layers, optimizer, cells in CASES:
        task = dataclasses.replace(toy(), layers=layers)
        stacked = layers in stacked_layers and cells >= 4 and optimizer in ("sgd", "adam", "adamw")
        chosen = {engine.choose(task, optimizer, cells) for _ in range(2)}
        assert chosen == {"stacked" if stacked else "modules"}, (layers, optimizer, cells)


def test_a_wish_goes_before_the_rule():
    assert engine.choose(toy(), "sgd", 40, wish="modules") == "modules"
    assert engine.choose(toy(), "sgd(momentum=0.0)", 1, wish="stacked") == "stacked"


@pytest.mark.parametrize("layers", [name for name, facts in LAYERS.items() if facts.unstackable])
def test_what_vmap_has_no_rule_for_is_not_stacked(layers):
    task = dataclasses.replace(toy(), layers=layers)
    with pytest.raises(InputError, match=r"has no .* \(toy\): use --engine modules"):
        engine.choose(task, "sgd", 8, wish="stacked")


def test_wishes_that_cannot_be_met_are_refused():
    with pytest.raises(InputError, match="no nadam: use --engine modules, or one of adam, adamw, sgd"):
        engine.choose(toy(), "nadam", 8, wish="stacked")
    with pytest.raises(InputError, match="there are: auto, modules, stacked"):
        engine.choose(toy(), "sgd", 8, wish="fast")
