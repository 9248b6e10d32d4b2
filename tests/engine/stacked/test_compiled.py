"""`compiled` without a compiler: widths, padding, the count of runs, refusals. `tests/faults/` compiles."""

import pytest
import torch

import tasks
from bench import engine
from bench.contract import InputError, Move
from bench.engine.stacked import compiled
from tests.engine.stacked.test_traced import Counting
from tests.engine.toys import Net, apart, create, drive, same, tensors, toy

CLOSE = 1e-10


@pytest.fixture
def interpreted(monkeypatch):
    """Programs run as they were traced; gives the widths of those that were made, and the numbers of their outputs."""
    made = []

    def compile_(trace, arguments, options):
        outputs = next(node for node in trace.graph.nodes if node.op == "output").args[0]
        made.append((len(arguments[0]), len(outputs)))
        return trace.forward

    monkeypatch.setattr(torch._inductor, "compile", compile_)
    monkeypatch.setattr(compiled, "OFTEN", 3)
    return made


LOOK, MOVE = 2, 0
"""Outputs of the programs."""


@pytest.mark.parametrize(("optimizer", "clip"), [("sgd", None), ("adamw", 0.3)])
def test_rows_that_fill_up_change_no_member(interpreted, optimizer, clip):
    slow, fast = (
        drive(*create(name, toy(Net, clip), optimizer, 0.03), 50, 0.02, (None, 0.0, 0.8))
        for name in ("modules", "compiled")
    )
    assert apart(tensors(fast), tensors(slow)) <= CLOSE
    assert fast.evaluate("test", [0, 2]) == [pytest.approx(s, rel=CLOSE) for s in slow.evaluate("test", [0, 2])]
    # Members of one width have no momentum to set, some or all; each kind of move is a program.
    assert {width for width, outputs in interpreted if outputs == LOOK} == {2, 4}
    assert {width for width, outputs in interpreted if outputs == MOVE} == {2, 4}
    assert len(fast._weight_WP) == 4


def test_an_update_without_momentum_is_the_same_program_before_and_after_one_with_it(interpreted):
    ends = []
    for name in ("modules", "compiled"):
        trained, loader = create(name, toy(Net), "sgd(momentum=0.0)")
        for k, momentum in enumerate([0.0] * 5 + [0.9] + [0.0] * 5):
            trained.look(loader.batch(k), k)
            trained.move([Move(0.01, momentum)])
        ends.append(tensors(trained))
    assert apart(*ends) <= CLOSE
    assert interpreted.count((2, MOVE)) == 2


def test_a_recalled_gradient_is_the_one_before_clipping(interpreted):
    dots = []
    for name in ("modules", "compiled"):
        trained, loader = create(name, toy(Net, 0.01))
        trained.recall = True
        for k in range(8):
            trained.look(loader.batch(k), k)
            dots.append(trained.signals()[0])
            trained.move([Move(0.01)])
    assert dots[:8] == [pytest.approx(seen, rel=CLOSE) for seen in dots[8:]]
    assert (2, LOOK) in interpreted


def test_products_with_a_short_last_axis_are_computed_as_their_transposes():
    a, b = torch.randn(3, 8, 5, dtype=torch.float64), torch.randn(3, 5, 2, dtype=torch.float64)
    with compiled.WideProducts():
        product, other = torch.bmm(a, b), torch.bmm(b.mT, a.mT)
    assert product.stride() == (16, 1, 8)
    assert other.stride() == (16, 8, 1)
    torch.testing.assert_close(product, torch.bmm(a, b), rtol=CLOSE, atol=0)
    trained, _ = create("compiled", tasks.parse("digits"))  # weights have the layout of such a product
    assert trained._parts(trained._weight_WP)["3.weight"].stride()[1:] == (64, 1)


def test_a_resumed_cohort_computes_each_look_by_the_same_program(interpreted):
    whole, loader = create("compiled", toy(Net), "adam")
    drive(whole, loader, 12, 0.01)  # one look with four rows, of the three before they are compiled
    resumed, _ = create("compiled", toy(Net), "adam")
    resumed.load_state_dict(whole.state_dict())
    runs = {"clipped look, 2 rows": 3, "move, 2 rows": 3, "clipped look, 4 rows": 1, "move, 4 rows": 2}
    assert resumed._programs.runs == runs
    for trained in (whole, resumed):
        drive(trained, loader, 18, 0.01, start=12)
    assert same(whole.state_dict(), resumed.state_dict())
    assert interpreted.count((4, LOOK)) == interpreted.count((2, LOOK)) == 2


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
