"""What a cohort leaves behind: nothing, without the garbage collector; and what its workers may fill together."""

import dataclasses
import gc
import weakref

import pytest

from bench.contract import Move
from bench.runner.config import RunConfig, memory_shares
from bench.runner.distributed import ProcessGroup
from tests.engine.toys import create, toy


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", ["modules", "stacked", "rowwise"])
def test_loader_engine_and_weights_go_with_their_cohort(name, prepared):
    prepare = (lambda inputs, target, generator: (inputs, target)) if prepared else None
    gc.collect()
    gc.disable()
    try:
        engine, loader = create(name, dataclasses.replace(toy(), prepare=prepare))
        for k in range(2):
            engine.look(loader.batch(k), k)
            engine.take([0, 0])
            engine.move([Move(0.1), Move(0.2)])
        for split in ("control", "test"):
            engine.evaluate(split, [0, 1])
        engine.recalibrated("test", [0, 1])
        weight = engine.members[0].weights[0] if name == "modules" else engine._weight_WP
        alive = [weakref.ref(each) for each in (engine, loader, weight)]
        loader.close()
        del engine, loader, weight
        assert [each() for each in alive] == [None, None, None]
    finally:
        gc.enable()


def test_workers_divide_the_memory_of_their_device(monkeypatch):
    monkeypatch.setattr(ProcessGroup, "cores", 4)
    gpu, cpu = ProcessGroup(device="cuda:0"), ProcessGroup()
    assert [memory_shares(RunConfig(workers=n), gpu) for n in (None, 1, 8)] == [1, 1, 8]
    assert [memory_shares(RunConfig(workers=n), cpu) for n in (None, 1, 4, 8)] == [1, 1, 1, 2]
    assert memory_shares(RunConfig(workers=8, data_parallel=True), gpu) == 1
