"""Two processes against one: equal to 1e-10 in float64, with dropout, clipping, forks and BatchNorm.

What they evaluate they share out, and score bit for bit as one would.
"""

import pytest
import torch

from bench.engine.data_parallel import SyncedNorms
from tests.engine import ranks
from tests.engine.toys import apart, same


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return ranks.both(tmp_path_factory.mktemp("ranks"), *ranks.CASES)


@pytest.mark.faults
@pytest.mark.parametrize("case", ranks.CASES)
def test_two_processes_equal_one_with_the_same_micro_batches(both, case):
    hold(both, case)


def hold(both, case):
    ours, theirs, close = both[0]["cases"][case], ranks.train(case), (ranks.CASES | ranks.SLOW)[case].close
    assert len(theirs["members"]) == 3
    assert apart(ours["members"], theirs["members"]) <= close
    assert torch.allclose(ours["history"], theirs["history"], rtol=close, atol=0)
    assert ours["anew"] == [pytest.approx(scores, rel=close) for scores in theirs["anew"]]


@pytest.mark.faults
def test_both_processes_hold_the_same_members_and_scores_bit_for_bit(both):
    assert same(both[0]["cases"], both[1]["cases"])


@pytest.fixture(scope="module")
def slowly(tmp_path_factory):
    return ranks.both(tmp_path_factory.mktemp("slowly"), *ranks.SLOW)


@pytest.mark.faults
@pytest.mark.parametrize("case", ranks.SLOW)
def test_an_encoder_of_transformers_on_two_processes_equals_it_on_one(slowly, case):
    hold(slowly, case)
    assert same(slowly[0]["cases"][case], slowly[1]["cases"][case])
    assert same(slowly[0]["cases"][case]["shared"], slowly[0]["cases"][case]["alone"])


@pytest.mark.faults
@pytest.mark.parametrize("case", ranks.CASES)
def test_a_split_that_is_shared_out_scores_as_in_one_process_bit_for_bit(both, case):
    ended = both[0]["cases"][case]
    assert same(ended["shared"], ended["alone"])


@pytest.mark.faults
def test_a_process_reads_its_own_chunks_alone_and_what_cannot_be_read_ends_all(both):
    first, second = (ended["spoilt"] for ended in both)
    assert first["read"] == list(range(12))
    assert second["read"] == [12, 13]
    assert first["said"] == second["said"] == "example 13 holds no whole image"


@pytest.mark.faults
def test_the_smallest_memory_plans_for_all(both):
    assert [ended["memory"] for ended in both] == [1e9, 1e9]


class Alone:
    """Stands for an accelerator whose other processes saw what this one did."""

    num_processes = 1

    def reduce(self, tensor, reduction):
        return tensor.clone()


@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5), (4, 3, 5, 5)])
def test_batch_norm_over_one_process_is_torchs(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    norms = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}
    ours, theirs = (norms[x.ndim](3, momentum=0.3, dtype=torch.float64) for _ in range(2))
    outcomes = []
    for norm, mode in ((ours, SyncedNorms(Alone())), (theirs, None)):
        if mode is None:
            y = norm(x)
        else:
            with mode:
                y = norm(x)
        (grad,) = torch.autograd.grad((y * y.detach().roll(1)).sum(), x)
        outcomes.append((y, grad, norm.running_mean, norm.running_var))
    for a, b in zip(*outcomes, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-13)
    ours.eval(), theirs.eval()
    with SyncedNorms(Alone()):
        assert torch.allclose(ours(x), theirs(x), rtol=1e-12, atol=1e-13)
