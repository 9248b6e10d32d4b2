"""`compiled` without a compiler: widths, padding, the count of looks, refusals. `tests/faults/` compiles."""

import pytest
import torch

import tasks
from bench import engine
from bench.contract import InputError
from bench.engine.stacked import compiled
from tests.engine.stacked.test_traced import Counting
from tests.engine.toys import Net, apart, create, drive, same, tensors, toy

CLOSE = 1e-10


@pytest.fixture
def interpreted(monkeypatch):
    """Programs run as they were traced, at once and from the first look; gives the widths of those that were made."""
    widths = []

    def compile_(trace, arguments, options):
        widths.append(len(arguments[0]))
        return trace.forward

    monkeypatch.setattr(torch._inductor, "compile", compile_)
    monkeypatch.setattr(compiled, "OFTEN", 3)
    return widths


@pytest.mark.parametrize(("optimizer", "clip"), [("sgd", None), ("adamw", 0.3)])
def test_rows_that_fill_up_change_no_member(interpreted, optimizer, clip):
    slow, fast = (
        drive(*create(name, toy(Net, clip), optimizer, 0.03), 40, 0.02, (None, 0.8)) for name in ("modules", "compiled")
    )
    assert apart(tensors(fast), tensors(slow)) <= CLOSE
    assert fast.evaluate("test", [0, 2]) == [pytest.approx(s, rel=CLOSE) for s in slow.evaluate("test", [0, 2])]
    assert interpreted == [2, 4]
    assert len(fast._weight_WP) == 4


def test_a_resumed_cohort_computes_each_look_by_the_same_program(interpreted):
    whole, loader = create("compiled", toy(Net), "adam")
    drive(whole, loader, 12, 0.01)  # one look with four rows, of the three before they are compiled
    resumed, _ = create("compiled", toy(Net), "adam")
    resumed.load_state_dict(whole.state_dict())
    assert resumed._look.looks == {2: 3, 4: 1}
    for trained in (whole, resumed):
        drive(trained, loader, 18, 0.01, start=12)
    assert same(whole.state_dict(), resumed.state_dict())
    assert interpreted == [2, 4, 4, 2]


def test_what_cannot_be_compiled_is_refused_in_one_line(monkeypatch):
    with pytest.raises(InputError, match="grammar cannot be compiled: use --engine stacked") as caught:
        create("compiled", tasks.parse("grammar"))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"toy cannot be compiled: use --engine stacked \(a look does more"):
        create("compiled", toy(Counting))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler, and there is no no-such-compiler"):
        engine.choose(toy(), "sgd", 8, wish="compiled")
    assert engine.choose(toy(), "sgd", 8) == "stacked"
