"""Named suites, as plain functions. To derive a suite from another, call it and replace the fields that differ.

A suite file with a `suite()` function works the same way: `accelerate launch bench/run.py my_suite.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.contract import InputError
from bench.plan import Grid, Primary, Suite, suite_file
from schedules.spec import choose

CUTS = "piecewise([0.5, 0.75], [0.1, 0.01])"
"""Step decay relative to the budget: by ten at one half, and again at three quarters."""

EVERY = (
    "constant",
    "exponential",
    "exponential(gamma=0.9)",
    "step",
    CUTS,
    "stages([constant, cosine], [0.5, 0.5])",
    "polynomial(power=0.9)",
    "linear",
    "cosine",
    "inverse_sqrt",
    "rex",
    "wsd",
    "onecycle",
    "plateau(patience=2)",
)
"""The strategies of `core`: the most common kinds of decay."""

FEW = ("constant", CUTS, "linear", "cosine", "rex", "wsd")
"""The strategies for expensive tasks."""

MAIN = ("constant", "linear", "cosine", "wsd")
"""The strategies of `core` in its most expensive tasks."""


LOW = (0.05, 0.1, 0.25)
"""Budgets of `core`: at more, its image tasks have nothing left to learn."""


def core() -> Suite:
    """All four task families and the wind tunnel, offline, in minutes on two CPU cores: the default.

    Budgets are those at which more training still pays, and the schedule can matter; peak LRs have an interior optimum
    for every strategy. The primary test pools all of them. The wind tunnel has three seeds, for it is never tested.
    """
    return Suite(
        "core",
        (
            Grid(task="digits", schedules=EVERY, budgets=LOW, peak_lrs=(0.1, 0.2, 0.4, 0.8, 1.6), seeds=8),
            Grid(task="mnist5k", schedules=EVERY, budgets=LOW[1:], seeds=8),
            Grid(task="vowels", schedules=EVERY, budgets=(0.25, 0.5), seeds=8),
            Grid(
                task="digits(model='cnn')",
                schedules=MAIN,
                budgets=LOW[:2],
                peak_lrs=(0.02, 0.04, 0.08, 0.16, 0.32),
                seeds=8,
            ),
            Grid(task="grammar", schedules=MAIN, budgets=(0.5,), seeds=8),
            Grid(task="scenes", schedules=MAIN, budgets=(0.25,), seeds=8),
            Grid(task="linreg", schedules=EVERY, budgets=LOW),
            Grid(task="quadratic", schedules=EVERY, budgets=LOW),
        ),
        primary=Primary(budgets=(*LOW, 0.5)),
    )


def smoke() -> Suite:
    """The families of `core` in under a minute, to check an installation."""
    few = ("constant", "cosine", "plateau(patience=0)")

    def less(grid: Grid) -> Grid:
        if grid.task in ("grammar", "scenes"):  # expensive
            return replace(grid, schedules=few, budgets=(0.05, 0.1), peak_lrs=(0.004, 0.008), seeds=1)
        return replace(grid, schedules=few, budgets=(0.1, 0.25), seeds=2)

    return Suite("smoke", tuple(less(g) for g in core().grids if g.task != "digits(model='cnn')"))


AVERAGINGS = ("ema(decay=0.99)", "swa(share=0.25)", "lawa(k=5)")
"""Averages of the weights under constant LR in `contenders`."""

RATES = {
    "schedulefree_sgd": (0.25, 0.5, 1.0, 2.0, 4.0),
    "schedulefree_adamw": (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2),
    "prodigy": (0.25, 0.5, 1.0, 2.0, 4.0),
    "dadapt_sgd": (0.25, 0.5, 1.0, 2.0, 4.0),
    "dadapt_adam": (0.25, 0.5, 1.0, 2.0, 4.0),
    "momo": (0.25, 0.5, 1.0, 2.0, 4.0),
    "momo_adam": (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2),
}
"""Optimizers that claim to need no decay, with their peak LRs: as many as the decays have. The LR is constant."""


def contenders() -> Suite:
    """Decay against methods that claim to need none: averaged constant LR, Schedule-Free and LR-free optimizers."""
    grids = []
    for task in ("digits", "digits(model='cnn')", "vowels"):
        decays = Grid(task=task, schedules=MAIN, budgets=LOW[1:], seeds=8)
        constant = replace(decays, schedules=("constant",))
        grids += [decays, replace(constant, averagings=AVERAGINGS)]
        grids += [replace(constant, optimizer=name, peak_lrs=rates) for name, rates in RATES.items()]
    return Suite("contenders", tuple(grids), primary=Primary(budgets=LOW[1:]), tune=3)


REX = ("constant", "exponential", "step", "linear", "cosine", "plateau", "onecycle", "rex")
"""The strategies that REX is compared with in its paper (arXiv:2107.04197)."""


def rex() -> Suite:
    """ResNet-20 on CIFAR-10 as in the paper on REX: SGDM and Adam, 1 to 100 % of 300 epochs."""
    sgdm = Grid(task="cifar10", schedules=REX, budgets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0))
    return Suite("rex", (sgdm, replace(sgdm, optimizer="adam", peak_lrs=(3e-4, 1e-3, 3e-3))))


def imagenet() -> Suite:
    """ResNet-50 on ImageNet, 5 to 100 % of 90 epochs."""
    return Suite("imagenet", (Grid(task="imagenet", schedules=FEW, budgets=(0.05, 0.25, 1.0)),))


GLUE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")


def glue() -> Suite:
    """BERT fine-tuned on the nine tasks of GLUE for 1 to 3 epochs, with a warmup over a tenth, as published."""
    warmed = tuple(f"warmup({name}, fraction=0.1)" for name in ("constant", "linear", "cosine", "rex", "wsd"))
    budgets = (1 / 3, 2 / 3, 1.0)
    tasks = (f"glue('{name}', model='bert-base-uncased')" for name in GLUE)
    return Suite("glue", tuple(Grid(task=task, schedules=warmed, budgets=budgets) for task in tasks))


def real() -> Suite:
    """Real data sets, from the folder given by --data."""
    texts = ("cola", "sst2", "mrpc", "stsb", "rte", "wnli")
    return Suite(
        "real",
        (
            Grid(task="mnist", schedules=EVERY),
            Grid(task="cifar10_jpeg_q75", schedules=FEW, budgets=(0.01, 0.05)),
            *(Grid(task=f"glue('{name}')", schedules=FEW, budgets=(0.1, 0.5)) for name in texts),
            Grid(task="bccd", schedules=FEW, budgets=(0.1, 0.25)),
            *speech().grids,
        ),
    )


def detection() -> Suite:
    """Detection of blood cells by one-stage and two-stage models; `--tasks coco` for COCO."""
    one = Grid(task="bccd", schedules=FEW, budgets=(0.1, 0.25, 1.0))
    return Suite("detection", (one, replace(one, task="bccd(model='fasterrcnn')")))


def speech() -> Suite:
    """Spoken digits and commands, from the folder given by --data."""
    names = "fsdd", "digits_ctc", "speech_commands_v002_testset12"
    return Suite("speech", tuple(Grid(task=name, schedules=FEW, budgets=(0.25, 1.0)) for name in names))


WEIGHT_DECAYS = (0.0, 5e-4, 5e-3)
"""Weight decays of `decay`: none, the default of its tasks, and two that are in use."""


def decay() -> Suite:
    """Every strategy of `FEW` at three weight decays, with equal tries: does the best decay depend on it?"""
    grids = [
        Grid(task=task, schedules=FEW, budgets=LOW[1:], weight_decay=decay, seeds=8)
        for task in ("digits", "digits(model='cnn')", "vowels")
        for decay in WEIGHT_DECAYS
    ]
    return Suite("decay", tuple(grids), primary=Primary(budgets=LOW[1:]), tune=3)


def families() -> Suite:
    """Decay against constant LR in each task family, each tested on its own: the data of `results/claims.md`."""
    budgets = {"digits": LOW, "mnist5k": LOW, "scenes": (0.25,), "grammar": (0.5,), "vowels": (0.25, 0.5)}
    grids = (Grid(task=task, schedules=FEW, budgets=own, seeds=12) for task, own in budgets.items())
    return Suite("families", tuple(grids), primary=Primary(budgets=(*LOW, 0.5), over="family"), tune=3)


WARMED = tuple(
    f"warmup({name}, epochs=0.03)"
    for name in (
        "constant",
        "cosine",
        "linear",
        "wsd(cooldown=0.1)",
        "wsd",
        "wsd(cooldown=0.4)",
        "inverse_sqrt(tau=0.1)",
    )
)
"""The strategies of `language`: those of published pre-training runs, each after the same warmup."""


def language() -> Suite:
    """Language models of three sizes on symbols of a known source and on source code, in one pass or less.

    With and without weight decay; averaged weights at an LR that does not end near zero; Schedule-Free with its own
    LRs. Budgets are of several hundred to some thousands of updates.
    """
    grids = []
    for task, (other, peaks) in LANGUAGE.items():
        own = Grid(task=task, schedules=WARMED, budgets=(0.25, 0.5, 1.0), peak_lrs=peaks, seeds=8)
        flat = replace(own, schedules=(WARMED[0], WARMED[-1]), averagings=("ema(decay=0.995)",))
        free = replace(own, schedules=WARMED[:1], optimizer="schedulefree_adamw(beta2=0.95, decay='matrices')")
        grids += [own, flat, replace(free, peak_lrs=FREE)]
        grids += [] if other is None else [replace(own, schedules=WARMED[:3] + WARMED[4:5], weight_decay=other)]
    return Suite("language", tuple(grids), reference=WARMED[0], primary=Primary(budgets=(0.25, 0.5, 1.0)), tune=2)


LANGUAGE: dict[str, tuple[float | None, tuple[float, ...]]] = {
    "markov": (0.1, (0.002, 0.004, 0.008, 0.016, 0.032)),
    "source_code(width=16, depth=1)": (0.0, (0.002, 0.004, 0.008, 0.016, 0.032)),
    "source_code(depth=1)": (None, (0.001, 0.002, 0.004, 0.008, 0.016)),
}
"""Tasks of `language`, each with a second weight decay, and with peak LRs that held the best of a pilot run inside."""

FREE = (0.004, 0.008, 0.016, 0.032, 0.064)
"""Peak LRs of Schedule-Free in `language`: as many as the decays have."""


SUITES: dict[str, Callable[[], Suite]] = {
    "core": core,
    "smoke": smoke,
    "contenders": contenders,
    "decay": decay,
    "families": families,
    "language": language,
    "real": real,
    "speech": speech,
    "rex": rex,
    "imagenet": imagenet,
    "glue": glue,
    "detection": detection,
}


def load(name: str) -> Suite:
    """The suite of a name or a Python file.

    Raises:
        InputError: there is no such suite, or the file has no working `suite()`.
    """
    if not name.endswith(".py"):
        suite: Suite = choose(name, SUITES, "suite")()
        return suite
    if not Path(name).is_file():
        raise InputError(f"suite file {name} is not there; built-in suites: {', '.join(SUITES)}")
    return suite_file.load(Path(name))
