"""Copies to a device for which nothing waits."""

import torch

from bench.to_device import constant, send


def test_tensors_that_travel_in_one_arrive_as_they_left(monkeypatch):
    left = torch.arange(6).view(2, 3), torch.arange(3)[:, None], torch.tensor(7)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_, **__: self)
    arrived = send(torch.device("meta"), *left)
    assert len({a.untyped_storage().data_ptr() for a in arrived}) == 1
    for old, new in zip(left, arrived, strict=True):
        assert new.dtype == old.dtype
        assert torch.equal(new, old)


def test_on_the_cpu_nothing_is_copied():
    left = torch.ones(2), torch.zeros(3, 1)
    assert all(a is b for a, b in zip(left, send(torch.device("cpu"), *left), strict=True))
    assert constant((0.5, 2.0), torch.device("cpu")) is constant((0.5, 2.0), torch.device("cpu"))
