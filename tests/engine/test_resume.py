"""What a resume builds and where it puts things, and what deterministic algorithms cost: neither changes a bit."""

import pytest
import torch
from torch import nn

from bench.contract import Move
from bench.engine.member import TrainedMember
from bench.runner.config import RunConfig, prepare
from bench.runner.worker import WorkerContext, build_engine
from bench.strategies import optimizers
from tests.engine.toys import Net, create, same, toy


def test_a_resume_builds_no_model_and_keeps_frozen_weights_once():
    built = []

    class Counted(Net):
        def __init__(self):
            super().__init__()
            built.append(self)

    trained, loader = create("modules", toy(Counted), "adamw")
    for k in range(2):
        trained.look(loader.batch(k), k)
        trained.take([0, 0, 0])
        trained.move([Move(0.1), Move(0.2), Move(0.3)])
    resumed, _ = create("modules", toy(Counted), "adamw")
    before = len(built)
    resumed.load_state_dict(trained.state_dict())
    assert len(built) == before
    assert len({id(m.model.frozen) for m in resumed.members}) == 1
    assert same(trained.state_dict(), resumed.state_dict())


class Scaled(nn.Linear):
    """A layer with a weight and a buffer that have no axes."""

    def __init__(self):
        super().__init__(6, 3)
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        return self.scale * super().forward(x)


def deep():
    """A layer for Muon before it."""
    return nn.Sequential(nn.Linear(6, 6), Scaled())


@pytest.mark.parametrize("name", list(optimizers.CATALOGUE))
def test_what_belongs_to_a_weight_without_axes_comes_back_beside_it(name):
    trained, loader = create("modules", toy(deep), name, 0.0, torch.float32)
    for k in range(2):
        trained.look(loader.batch(k), k)
        trained.move([Move(0.01)])
        trained.blend("mean", [0], 1.0)
    with torch.device("meta"):  # stands for any device that is not the CPU
        model = deep()
    member = TrainedMember(model, optimizers.parse(name).build(model, 0.0))
    (state,) = trained.state_dict()["members"]
    member.load(state)
    slots = [
        (k, v) for p in member.weights for k, v in member.optimizer.state[p].items() if isinstance(v, torch.Tensor)
    ]
    assert {k for k, v in slots if v.device.type == "cpu"} <= {"step", "mu_product"}
    kept = [v for g in member.optimizer.param_groups for v in g.get("kept", {}).values() if isinstance(v, torch.Tensor)]
    assert all(t.device.type == "meta" for t in (*kept, *member.averages["mean"]))


def fills(cohort, task, folder, filling=None):
    """Fills in an update, and the members after three; `filling` overrides what the crew has chosen."""
    loader, engine = build_engine(cohort, task, WorkerContext(folder, "test"))
    if filling is not None:
        torch.utils.deterministic.fill_uninitialized_memory = filling
    with torch.autograd.profiler.profile() as profile:
        for k in range(3):
            engine.look(loader.batch(k), k)
            engine.move([Move(0.1)])
    return sum(event.name == "aten::fill_" for event in profile.function_events), engine.state_dict()


def test_deterministic_algorithms_fill_nothing_and_change_no_bit(tmp_path):
    prepared = prepare(RunConfig(suite="smoke", tasks="digits(model='cnn')", schedules="constant", seeds=1))
    task, cohort = *prepared.tasks.values(), prepared.plan.cohorts[0]
    try:
        few, ours = fills(cohort, task, tmp_path)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.utils.deterministic.fill_uninitialized_memory is False
        many, theirs = fills(cohort, task, tmp_path, filling=True)
        assert few < many / 5
        assert same(ours, theirs)
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
