"""What `results/encoder` holds: a pretrained encoder on SST-2 and MRPC, and the same net from scratch beside it."""

from bench.plan import Grid, Suite

MODEL = "model='all-MiniLM-L6-v2'"


def suite() -> Suite:
    """As many updates from scratch as of the checkpoint: 228 of MRPC, two epochs; 184 of SST-2, a tenth of one."""

    def grid(task: str, budget: float, peak_lr: float) -> Grid:
        return Grid(task=task, schedules=("linear",), budgets=(budget,), peak_lrs=(peak_lr,), seeds=1)

    return Suite(
        "encoder",
        (
            grid(f"glue('mrpc', {MODEL})", 2 / 3, 1e-4),
            grid(f"glue('sst2', {MODEL})", 0.03, 1e-4),
            grid(f"glue('mrpc', {MODEL}, scratch=True)", 0.2, 3e-4),
            grid(f"glue('sst2', {MODEL}, scratch=True)", 0.009, 3e-4),
        ),
    )
