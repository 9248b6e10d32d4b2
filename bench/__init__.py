"""Glideslope from Python and in a notebook: the same as the command line, with the same words.

    import bench

    result = bench.run(tasks="digits", schedules=["constant", "cosine"], seeds=6)   # glideslope run
    result.answer, result.table, result.frame(), result.report
    bench.load("runs/core")                                                         # an earlier run
    bench.recommend(task="digits", epochs=30)                                       # glideslope recommend
    with bench.audit("runs/mine", task="my task", strategy="cosine", ...) as log:   # a training loop of one's own
        log(step, lr=..., loss=...)

To import `bench` imports none of this; the first call does.
"""

TYPE_CHECKING = False  # as type checkers know it: to import typing would take as long as all the rest

if TYPE_CHECKING:
    from bench.api.audit import Audit as Audit
    from bench.api.audit import audit as audit
    from bench.api.recommend import Suggestion as Suggestion
    from bench.api.recommend import recommend as recommend
    from bench.api.results import RunResult as RunResult
    from bench.api.results import load as load
    from bench.api.run import run as run
    from bench.contract import InputError as InputError
    from bench.plan import Grid as Grid
    from bench.plan import Suite as Suite

PLACES = {
    "run": "bench.api.run",
    "load": "bench.api.results",
    "RunResult": "bench.api.results",
    "recommend": "bench.api.recommend",
    "Suggestion": "bench.api.recommend",
    "audit": "bench.api.audit",
    "Audit": "bench.api.audit",
    "InputError": "bench.contract",
    "Grid": "bench.plan",
    "Suite": "bench.plan",
}
"""Modules that hold the public names."""


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in PLACES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
