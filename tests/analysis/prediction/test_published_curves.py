"""The multi-power law on its authors' loss curves (25M, 100M and 400M parameters); skipped where these are not."""

import csv

import numpy as np
import pytest

from bench.analysis.prediction.course import Course
from bench.analysis.prediction.fit import LossCurve, fit
from bench.analysis.prediction.laws import LAWS, multi_power
from tests.runs import ROOT

FOLDER = ROOT.parent / "shared" / "reference" / "multi_power_law"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the published curves in {FOLDER}")

TRAINING = ("cosine_24000", "constant_24000", "wsdcon_9")
HELD_OUT = ("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18")
WARM, PEAK, LOW = 2160, 3e-4, 3e-5

PUBLISHED = {
    25: ((3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257), "0.00110", "0.00409"),
    100: ((2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644), "0.00142", "0.00583"),
    400: ((2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457), "0.00168", "0.00995"),
}
"""Parameters, and the mean relative error and the mean of the worst ones on the held-out curves."""


def curve(size, name):
    kind, _, number = name.partition("_")
    lrs = np.full(16_001 if kind == "wsdcon" else int(name.rpartition("_")[2]) + 1, PEAK)
    t = np.arange(len(lrs))
    if kind == "cosine":
        lrs = LOW + (PEAK - LOW) * (1 + np.cos(np.pi * (t - WARM) / (t[-1] - WARM))) / 2
    elif kind == "wsdcon":
        lrs[8_000:] = float(number) * 1e-5
    elif kind in ("wsd", "wsdld"):
        share = np.maximum(0, t - 20_000) / 4_000
        lrs = PEAK * (LOW / PEAK) ** share if kind == "wsd" else PEAK + (LOW - PEAK) * share
    lrs[:WARM] = np.linspace(0, PEAK, WARM)
    with (FOLDER / f"csv_{size}" / f"{name}.csv").open() as file:
        rows = [(int(float(row["step"])), float(row["loss"])) for row in csv.DictReader(file)]
    steps, losses = np.array([row for row in rows if not (name.endswith("24000") and row[0] == 24_000)]).T
    return LossCurve(lrs, steps.astype(int), losses)


def errors(size, losses_of):
    """Mean and worst relative error, each averaged over the held-out curves."""
    curves = [curve(size, name) for name in HELD_OUT]
    relative = [np.abs(losses_of(c) - c.losses) / c.losses for c in curves]
    return np.mean([r.mean() for r in relative]), np.mean([r.max() for r in relative])


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_parameters_have_the_published_errors(size):
    parameters, mean, worst = PUBLISHED[size]
    got = errors(size, lambda c: multi_power(parameters, Course(c.lrs, c.points, groups=4096)))
    assert [f"{v:.5f}" for v in got] == [mean, worst]


@pytest.mark.parametrize(
    "size", [25, pytest.param(100, marks=pytest.mark.faults), pytest.param(400, marks=pytest.mark.faults)]
)
def test_our_own_fit_predicts_the_held_out_curves(size):
    fitted = fit(LAWS[0], [curve(size, name) for name in TRAINING])
    assert errors(size, lambda c: fitted.losses(c.lrs, c.points))[0] <= 0.0020
