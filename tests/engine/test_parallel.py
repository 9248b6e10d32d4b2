"""Two processes against one: equal to 1e-10 in float64, with dropout, clipping, forks and BatchNorm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.engine.parallel import SyncedNorms
from tests.engine import ranks
from tests.engine.toys import apart, same
from tests.runs import ROOT

CLOSE = 1e-10


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes ended at, by case."""
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    command = [*torchrun, str(Path(ranks.__file__)), str(folder)]
    settings = os.environ | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", ranks.CASES)
def test_two_processes_equal_one_with_the_same_micro_batches(both, case):
    ours, theirs = both[0][case], ranks.train(case)
    assert len(theirs["members"]) == 3
    assert apart(ours["members"], theirs["members"]) <= CLOSE
    assert torch.allclose(ours["history"], theirs["history"], rtol=CLOSE, atol=0)
    assert ours["anew"] == [pytest.approx(scores, rel=CLOSE) for scores in theirs["anew"]]


def test_both_processes_hold_the_same_members_bit_for_bit(both):
    assert same(both[0], both[1])


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
