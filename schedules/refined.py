"""The schedule that theory derives from the gradient norms of a finished run."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from schedules.arguments import Count, Part
from schedules.contract import Clock, InputError, digest
from schedules.schedule import schedule


@schedule(paper="arXiv:2310.07831; the filter's padding: its authors' code", horizon="relative")
@dataclass(frozen=True, slots=True)
class refined:
    r"""Refined: the schedule that theory finds optimal for a finished run, from its gradient norms in the file `trace`.

    With g the R norms of the run, the last one repeated once, and t = 0 .. R,

        factor(t) = e(t) / max e
        e(t)      = w(t) (w(t + 1) + ... + w(R))
        w(t)      = 1 / median(g around t)^2    sgd
                    1 / median(g around t)      adam

    and linear in between: over T updates, update t takes the value at t R / T of the run. The median is over the share
    `tau` of the run; equal norms give `linear`. The paper's rule for Adam takes 1-norms, which a trace lacks. A trace
    holds each `segment` of its cohort, a member between two forks; one that goes back to update 0 is a run. `digest` is
    that of the norms. It is filled in, and so becomes a part of the schedule's text; if the text has one, a trace with
    another digest is refused.

    >>> [round(f, 4) for f in table((2.0, 1.0, 1.0, 1.0), 0.1, "sgd")]
    [0.3333, 1.0, 0.6667, 0.3333, 0.0]
    """

    trace: str
    _: KW_ONLY
    segment: Count = 0
    rule: Literal["sgd", "adam"] = "sgd"
    tau: Part = 0.1
    digest: str | None = None

    factors: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        norms = read(self.trace, self.segment)
        norms_digest = digest(repr(norms), 8)
        if self.digest not in (None, norms_digest):
            raise InputError(
                f"schedule refined: {self.trace} is not the trace meant: "
                f"its digest is {norms_digest}, not {self.digest}"
            )
        object.__setattr__(self, "digest", norms_digest)
        object.__setattr__(self, "factors", table(norms, self.tau, self.rule))

    def init(self) -> None:
        return None

    def __call__(self, state: None, clock: Clock, signals: object) -> tuple[float, None]:
        whole, rest = divmod(clock.step * (len(self.factors) - 1), clock.total)
        u = rest / clock.total
        return self.factors[whole] + u * (self.factors[whole + 1] - self.factors[whole]), None


def read(trace: str, segment: int) -> tuple[float, ...]:
    """Gradient norms of one segment of a trace file, from update 0.

    Raises:
        InputError: not a trace, no such segment, a segment that began later, or a norm that is not finite and above 0.
    """
    import numpy as np

    try:
        with np.load(trace, allow_pickle=False) as file:
            columns = {name: file[name] for name in ("segment", "step", "grad_norm")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"schedule refined: {trace} is no trace, such as DIR/traces/COHORT.npz ({error})") from None
    rows = columns["segment"] == segment
    steps, norms = columns["step"][rows].tolist(), columns["grad_norm"][rows].tolist()
    if not norms or steps != list(range(len(steps))):
        runs = sorted({int(s) for s in columns["segment"][columns["step"] == 0]})
        raise InputError(f"schedule refined: segment {segment} of {trace} is no run from update 0; these are: {runs}")
    for i in reversed(range(len(norms) - 1)):
        if norms[i] != norms[i]:  # loss scaling skipped this update: take the next one's norm
            norms[i] = norms[i + 1]
    if not all(0 < norm < float("inf") for norm in norms):
        raise InputError(f"schedule refined: {trace} holds a gradient norm that is 0 or not finite")
    return tuple(norms)


def table(norms: tuple[float, ...], tau: float, rule: str) -> tuple[float, ...]:
    """Factors at updates 0 .. R of a run with these R norms."""
    import numpy as np
    from scipy.ndimage import median_filter

    width = 2 * (int(tau * len(norms)) // 2) + 1  # odd, so that the middle is one of them
    padded = np.pad(np.asarray(norms), (0, 2 * width), mode="reflect")
    smooth = median_filter(padded, size=width, mode="nearest")[: len(norms)]
    weights = np.append(smooth, smooth[-1]) ** (-2.0 if rule == "sgd" else -1.0)
    later = np.append(np.cumsum(weights[::-1])[::-1][1:], 0.0)
    best = weights * later
    return tuple((best / best.max()).tolist())
