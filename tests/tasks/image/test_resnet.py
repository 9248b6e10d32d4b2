"""The residual networks of CIFAR are those of the paper."""

import pytest
import torch

from tasks.image.resnet import resnet


@pytest.mark.parametrize(("layers", "millions"), [(20, 0.27), (32, 0.46), (56, 0.85)])
def test_they_have_as_many_layers_and_weights_as_the_paper_says(layers, millions):
    """Table 6 of arXiv:1512.03385, which counts convolutions and the last linear layer."""
    model = resnet(layers, 10)
    weighted = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == layers
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    shape = model[:-3](torch.zeros(1, 3, 32, 32)).shape
    assert shape == (1, 64, 8, 8)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
