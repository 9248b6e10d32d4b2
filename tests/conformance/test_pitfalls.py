"""The traps as they are with the versions installed, and as they would be once mended."""

import pytest

from bench.conformance import pitfalls
from bench.conformance.equivalents import Equivalent
from bench.conformance.factors import LIBRARIES, LibraryComparison
from bench.conformance.pitfalls import TRAPS, offsets, tried


@pytest.fixture(scope="module")
def found():
    return {trap.title: trap for trap in tried()}


def test_every_trap_says_what_was_expected_and_seen(found):
    assert len(found) == len(TRAPS)
    for trap in found.values():
        assert trap.expected
        assert trap.observed
        assert trap.shows == (trap.expected != trap.observed or "below" in trap.expected)


def test_the_formulas_of_rex_give_the_values_that_were_read_in_public_code(found):
    seen = [trap.observed for title, trap in found.items() if title.startswith("REX")]
    assert ["0.9091 at 50 %, 0.5263 at 90 %" in seen[0], "0 at 0 %, 0.6667" in seen[1]] == [True, True]
    assert "0.6598 at 50 %, 0.2512 at 90 %" in seen[2]
    assert all(trap.shows for title, trap in found.items() if title.startswith("REX"))


def test_the_paper_itself_is_no_trap():
    assert not pitfalls._rex("the paper", lambda x: (1 - x) / (1 - x / 2)).shows


def test_a_scheduler_that_resumes_rightly_is_no_trap():
    from torch.optim.lr_scheduler import CosineAnnealingLR

    def make(o, last=-1):
        return CosineAnnealingLR(o, 100, last_epoch=last)

    assert not pitfalls._resumed("cosine", make, 49, load=False).shows


def test_four_processes_step_four_times(found):
    trap = found["A linear decay over 1000 updates, on 4 processes"]
    assert (trap.expected, trap.observed) == ("1000 updates until LR 0", "250 updates until LR 0")


def test_a_wrapper_on_one_process_is_no_trap():
    from torch.optim.lr_scheduler import ConstantLR

    never = pitfalls._accelerate("constant", "updates", lambda o: ConstantLR(o, 1.0), lambda lr: lr == 0)
    assert not never.shows


def test_a_call_that_is_off_by_one_step_is_a_trap_until_it_is_mended():
    torch, equivalent = LIBRARIES[0], Equivalent("linear", "LinearLR(o, 1.0, 0.0, T)", "late", "As it was once.")
    late = LibraryComparison(torch, equivalent, [1.0, 0.75, 0.5, 0.25], [1.0, 1.0, 0.75, 0.5])
    other = late._replace(equivalent=equivalent._replace(expected="equal", why=""), other=[1.0, 0.7, 0.5, 0.25])
    mended = late._replace(other=late.own)
    assert [trap.shows for trap in offsets([late, other, mended])] == [True, False]
