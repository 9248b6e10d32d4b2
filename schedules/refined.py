"""The schedule that a finished run's gradient norms ask for."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from schedules.arguments import Count, Part
from schedules.contract import Clock, InputError, digest
from schedules.schedule import schedule


@schedule(paper="arXiv:2310.07831; the filter's padding: its authors' code", horizon="relative")
@dataclass(frozen=True, slots=True)
class refined:
    r"""Refined: the optimal schedule, by theory, of a finished run, read from its gradient norms in the file `trace`.

    With g the R norms of the run, the one after the last update taken to be like it, and t = 0 .. R,

        factor(t) = e(t) / max e
        e(t)      = w(t) (w(t + 1) + ... + w(R))
        w(t)      = 1 / median(g around t)^2    sgd
                    1 / median(g around t)      adam

    in between on a straight line: over T updates, update t is where the run was at t R / T. The median is over the
    share `tau` of the run; equal norms give `linear`. The paper's rule for Adam takes 1-norms, which a trace lacks. A
    trace holds each `segment` of its cohort, a member between two forks; one that goes back to update 0 is a run.
    `digest` is that of the norms: it is filled in, which makes it a part of the schedule's name, and where it is given
    another trace is refused.

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
        found = digest(repr(norms), 8)
        if self.digest not in (None, found):
            raise InputError(
                f"schedule refined: {self.trace} is not the trace meant: its digest is {found}, not {self.digest}"
            )
        object.__setattr__(self, "digest", found)
        object.__setattr__(self, "factors", table(norms, self.tau, self.rule))

    def init(self) -> None:
        return None

    def __call__(self, state: None, clock: Clock, seen: object) -> tuple[float, None]:
        whole, rest = divmod(clock.step * (len(self.factors) - 1), clock.total)
        u = rest / clock.total
        return self.factors[whole] + u * (self.factors[whole + 1] - self.factors[whole]), None


def read(trace: str, segment: int) -> tuple[float, ...]:
    """Gradient norms of a segment of a trace file, from update 0.

    Raises:
        InputError: no trace, no such segment, one that began later, or a norm that is not above 0 and finite.
    """
    import numpy as np

    try:
        with np.load(trace, allow_pickle=False) as file:
            it = {name: file[name] for name in ("segment", "step", "grad_norm")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"schedule refined: {trace} is no trace, such as DIR/traces/COHORT.npz ({error})") from None
    mine = it["segment"] == segment
    steps, norms = it["step"][mine].tolist(), it["grad_norm"][mine].tolist()
    if not norms or steps != list(range(len(steps))):
        begun = sorted({int(s) for s, step in zip(it["segment"], it["step"], strict=True) if step == 0})
        raise InputError(f"schedule refined: segment {segment} of {trace} is no run from update 0; these are: {begun}")
    for i in reversed(range(len(norms) - 1)):
        if norms[i] != norms[i]:  # loss scaling skipped this update; the next gradient stands for it
            norms[i] = norms[i + 1]
    if not all(0 < norm < float("inf") for norm in norms):
        raise InputError(f"schedule refined: {trace} holds a gradient norm that is 0 or not finite")
    return tuple(norms)


def table(norms: tuple[float, ...], tau: float, rule: str) -> tuple[float, ...]:
    """Factors of updates 0 .. R of the run that had these R norms."""
    import numpy as np
    from scipy.ndimage import median_filter

    width = 2 * (int(tau * len(norms)) // 2) + 1  # odd, so that the middle is one of them
    padded = np.pad(np.asarray(norms), (0, 2 * width), mode="reflect")
    smooth = median_filter(padded, size=width, mode="nearest")[: len(norms)]
    weights = np.append(smooth, smooth[-1]) ** (-2.0 if rule == "sgd" else -1.0)
    later = np.append(np.cumsum(weights[::-1])[::-1][1:], 0.0)
    best = weights * later
    return tuple((best / best.max()).tolist())
