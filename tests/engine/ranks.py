"""Cases that one process and two train alike: run by `test_parallel.py`, under torchrun as `python ranks.py FILE`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import nn

import tasks
from bench import engine
from bench.arithmetic import Arithmetic
from bench.engine.feed import Feed
from bench.world import World
from tests.engine.toys import Drops, drive, tensors, toy

STEPS, LR = 24, 0.03


class Normed(nn.Sequential):
    """BatchNorm alone: with and without weights of its own, and one that keeps no running statistics."""

    def __init__(self):
        norms = nn.BatchNorm1d(8), nn.BatchNorm1d(8, affine=False), nn.BatchNorm1d(8, track_running_stats=False)
        super().__init__(nn.Linear(6, 8), norms[0], nn.ReLU(), norms[1], nn.Linear(8, 8), norms[2], nn.Linear(8, 3))


CASES = {
    # name: engine, task, optimizer, micro-batches of each of two processes, and of one process that does the same
    "dropout": ("modules", lambda: toy(Drops, clip=0.3), "adamw", 1, 2),
    "dropout cut twice": ("modules", lambda: toy(Drops), "sgd", 2, 4),
    "stacked dropout": ("stacked", lambda: toy(Drops, clip=0.3), "adamw", 1, 2),
    "batch norm": ("modules", lambda: toy(Normed), "sgd(nesterov=True)", 1, 1),
    "a convolutional net": ("modules", lambda: tasks.parse("digits(model='cnn')"), "sgd", 1, 1),
}


def train(case, accelerator=None):
    """What a case ends at, in float64: members, losses and gradient norms, scores with statistics computed anew."""
    name, task, optimizer, parts, alone = CASES[case]
    rank, world = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    if accelerator is None and alone > 1:
        name = "modules"
    feed = Feed(task(), 0, dtype=torch.float64, rank=rank, world=world)
    done = Arithmetic(accumulate=parts if accelerator else alone, processes=world)
    trained = drive(engine.create(name, feed, optimizer, 1e-3, accelerator, done), feed, STEPS, LR)
    history = [torch.tensor([*loss_M, *norm_M]) for loss_M, norm_M in trained.history()]
    anew = trained.recalibrated("test", [0, 1]) or trained.evaluate("test", [0, 1])
    return {"members": tensors(trained), "history": torch.cat(history), "anew": anew}


def main(folder):
    torch.set_num_threads(1)
    accelerator = World.here().accelerator()
    ended = {case: train(case, accelerator) for case in CASES}
    torch.save(ended, Path(folder) / f"{accelerator.process_index}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
