"""What `results/real` holds: the data sets of `real`, at budgets that two CPU cores can do in an afternoon."""

from bench.plan import Grid, Suite
from bench.suites import EVERY, FEW

THREE = ("constant", "cosine", "wsd")
"""For the tasks of which an update costs most."""


def suite() -> Suite:
    """Images, text, speech and detection, each with three seeds."""
    return Suite(
        "real",
        (
            Grid(task="mnist", schedules=EVERY),
            *(Grid(task=f"glue('{it}')", schedules=FEW, budgets=(0.25,)) for it in ("cola", "mrpc", "rte")),
            Grid(task="glue('sst2')", schedules=FEW, budgets=(0.05,)),
            Grid(task="fsdd", schedules=FEW, budgets=(0.1, 0.25)),
            Grid(task="digits_ctc", schedules=FEW, budgets=(0.25,)),
            Grid(task="digits_ctc", schedules=THREE, budgets=(1.0,)),
            Grid(task="speech_commands_v002_testset12", schedules=FEW, budgets=(0.25,)),
            Grid(task="cifar10_jpeg_q75", schedules=THREE, budgets=(1 / 300,), peak_lrs=(0.1, 0.3)),
            Grid(task="bccd", schedules=THREE, budgets=(0.1,), peak_lrs=(0.002,)),
        ),
    )
