"""Cases that one process and two train alike; run under torchrun as `python ranks.py FOLDER CASE...`, by `both`."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import nn

import tasks
from bench import engine
from bench.contract import Data, InputError, Stream, Task
from bench.engine import loader
from bench.engine.loader import Loader
from bench.numerics import Arithmetic
from bench.runner import distributed
from tests.engine.toys import Drops, Plain, drive, load, tensors, toy

STEPS, LR = 24, 0.03
CHUNK = 12  # examples, so that splits have several chunks, of unequal sizes


class Normed(nn.Sequential):
    """BatchNorm alone: with and without weights of its own, and one that keeps no running statistics."""

    def __init__(self):
        norms = nn.BatchNorm1d(8), nn.BatchNorm1d(8, affine=False), nn.BatchNorm1d(8, track_running_stats=False)
        super().__init__(nn.Linear(6, 8), norms[0], nn.ReLU(), norms[1], nn.Linear(8, 8), norms[2], nn.Linear(8, 3))


def grammar():
    """The task of that name, whose BERT has the dropout that it was published with."""
    task = tasks.parse("grammar")

    def model():
        from tasks.text import bert  # imports transformers, which takes seconds

        with mock.patch.dict(bert.SETTINGS, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1):
            return task.model()

    return dataclasses.replace(task, model=model)


ADAMW = grammar().optimizer


class Case(NamedTuple):
    engine: str
    task: Callable[[], Task]
    optimizer: str
    parts: int  # micro-batches of each of two processes
    alone: int  # and of one process that does the same
    lr: float = LR
    how: Mapping[str, str] = MappingProxyType({})  # what else is unusual about the arithmetic
    dtype: torch.dtype = torch.float64
    close: float = 1e-10


CASES = {
    "dropout": Case("modules", lambda: toy(Drops, clip=0.3), "adamw", 1, 2),
    "dropout cut twice": Case("modules", lambda: toy(Drops), "sgd", 2, 4),
    "stacked dropout": Case("stacked", lambda: toy(Drops, clip=0.3), "adamw", 1, 2),
    "rowwise dropout": Case("rowwise", lambda: toy(Drops, clip=0.3), "adamw", 1, 2),
    "batch norm": Case("modules", lambda: toy(Normed), "sgd(nesterov=True)", 1, 1),
    "a convolutional net": Case("modules", lambda: tasks.parse("digits(model='cnn')"), "sgd", 1, 1),
}
SLOW = {
    "a BERT cut twice": Case("modules", grammar, ADAMW, 2, 4, 0.002, close=1e-8),
    # Halves are exact, so these have the same bits; cut again, sums round otherwise, and bf16 makes much of it.
    "a BERT in bf16": Case("modules", grammar, ADAMW, 1, 2, 0.002, {"precision": "bf16"}, torch.float32, 0.0),
    "a compiled BERT": Case("modules", grammar, ADAMW, 2, 4, 0.002, {"backend": "eager"}, close=1e-8),
}


def train(case, accelerator=None):
    """What a case ends at: members, losses and gradient norms, and scores with statistics computed anew.

    Of several processes also the scores that they share, and those that one of them finds alone.
    """
    setting = (CASES | SLOW)[case]
    rank, size = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    parts = setting.parts if accelerator else setting.alone
    arithmetic = Arithmetic(accumulate=parts, processes=size, **setting.how)
    name = setting.engine if accelerator or setting.alone == 1 else "modules"
    batches = Loader(setting.task(), 0, dtype=setting.dtype, rank=rank, world=size)
    trained = engine.create(name, batches, setting.optimizer, 1e-3, accelerator, arithmetic)
    drive(trained, batches, STEPS, setting.lr)
    history = [torch.tensor([*loss_M, *norm_M]) for loss_M, norm_M in trained.history()]
    ended = {"members": tensors(trained), "history": torch.cat(history)}
    with mock.patch.object(loader, "CHUNK", CHUNK):
        ended["anew"] = trained.recalibrated("test", [0, 1]) or trained.evaluate("test", [0, 1])
        if accelerator:
            whole = Loader(setting.task(), 0, dtype=setting.dtype)
            alone = engine.create(setting.engine, whole, setting.optimizer, 1e-3, None, arithmetic)
            alone.load_state_dict(trained.state_dict())
            ended |= {"shared": scores(trained), "alone": scores(alone)}
    return ended


def scores(trained):
    return [trained.evaluate(split, [0, 2, 0]) for split in ("control", "test")]


def spoilt(accelerator):
    """What a process reads of a stream, of which the second one's share cannot be read, and what it then says."""
    read = []

    def one(split):
        def example(i, key):
            read.append(i)
            if i == 13:
                raise InputError("example 13 holds no whole image")
            return tuple(a[i] for a in split.inputs), tuple(a[i] for a in split.target)

        return Stream(example, split.target, "made here")

    data = Data(*map(one, load()))
    batches = Loader(dataclasses.replace(toy(Plain), load=lambda: data), 0, rank=accelerator.process_index, world=2)
    trained, said = engine.create("modules", batches, "sgd", 0.0, accelerator), ""
    with mock.patch.object(loader, "CHUNK", CHUNK):
        try:
            trained.evaluate("test", [0])
        except InputError as error:
            said = str(error)
    return {"read": read, "said": said}


def memory(device):
    """As on a machine whose first GPU is the larger one."""
    return 2e9 if torch.distributed.get_rank() == 0 else 1e9


def both(folder, *cases):
    """What each of two processes ended at."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    settings = os.environ | {"ACCELERATE_USE_CPU": "true"}
    command = [*torchrun, __file__, str(folder), *cases]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def main(folder, *cases):
    torch.set_num_threads(1)
    with mock.patch.object(distributed, "_memory", memory):
        here = distributed.ProcessGroup.detect(data_parallel=True)
    accelerator = here.accelerator()
    ended = {case: train(case, accelerator) for case in cases}
    told = {"cases": ended, "memory": here.memory, "spoilt": spoilt(accelerator)}
    torch.save(told, Path(folder) / f"{accelerator.process_index}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
