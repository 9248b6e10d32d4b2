"""What `results/real` holds: real data sets that small models learn within minutes of two CPU cores."""

from bench.contract import Primary
from bench.plan import Grid, Suite
from bench.suites import FEW

LRS = (0.0125, 0.025, 0.05, 0.1, 0.2)
"""Peak LRs of the tasks of speech."""


def suite() -> Suite:
    """Images and speech, with six seeds; what else was tried learns too little in that time (`results/LOG.md`)."""
    return Suite(
        "real",
        (
            Grid(task="mnist", schedules=FEW, budgets=(0.05, 0.1, 0.25), peak_lrs=tuple(2 * lr for lr in LRS), seeds=6),
            Grid(task="fsdd", schedules=FEW, budgets=(0.1, 0.25), peak_lrs=LRS, seeds=6),
            Grid(task="speech_commands_v002_testset12", schedules=FEW, budgets=(0.1,), peak_lrs=LRS, seeds=6),
        ),
        primary=Primary(budgets=(0.05, 0.1, 0.25)),
        tune=2,
    )
