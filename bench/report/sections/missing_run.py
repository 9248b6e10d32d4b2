"""The run that would get missing data, as a command to be copied into a shell."""

from __future__ import annotations

import math
import shlex

from bench.analysis.recommend.remedy import MissingRun
from bench.report.numbers import quantity


def command(run: MissingRun) -> str:
    """The command of a run, to be copied into a shell."""
    options = [run.suite] if run.suite else []
    options += ["--tasks", quoted(run.task)]
    options += ["--schedules", quoted(",".join(run.schedules))] if run.schedules else []
    options += ["--budgets", f"{run.budget:g}"]
    options += ["--peak-lrs", ",".join(f"{lr:g}" for lr in run.peak_lrs)] if run.peak_lrs else []
    options += ["--seeds", str(run.seeds), *(["--data", "DIR"] if run.data else []), "--out", str(run.out)]
    return " ".join(["glideslope run", *options, *(["--extend"] if run.extend else [])])


def quoted(text: str) -> str:
    """A text as one word of a shell, with quotes only where it needs them.

    >>> print(quoted("digits"), quoted("digits(model='cnn')"), quoted("wsd(cooldown=0.3)"))
    digits "digits(model='cnn')" 'wsd(cooldown=0.3)'
    """
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def purpose(run: MissingRun) -> str:
    """The line before a command."""
    cost = "add --plan to see its cost" if run.seconds is None else f"roughly {_duration(run.seconds)} of CPU time"
    return f"To get the data ({cost}):"


def _duration(seconds: float) -> str:
    """A rough time.

    >>> _duration(20), _duration(250), _duration(9000)
    ('1 minute', '5 minutes', '3 hours')
    """
    minutes = max(1, math.ceil(seconds / 60))
    return quantity(minutes, "minutes") if minutes < 120 else quantity(math.ceil(minutes / 60), "hours")
