"""The page of the textbook's claims with their verdicts, `results/claims.md`; `bench.analysis.textbook` judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from bench.analysis import results
from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import ALPHA, Hypothesis
from bench.analysis.textbook import claims, lr_choice
from bench.analysis.textbook.claim_tasks import FAMILIES, ClaimTask, entries
from bench.analysis.textbook.claims import ClaimPanel, Word
from bench.analysis.textbook.lr_choice import Misses, Pairs
from bench.analysis.textbook.lr_cost import Costs
from bench.contract import InputError
from bench.ledger import atomic, ledger
from bench.report import markup
from bench.report.markup import Item, Mark, Section, Table
from bench.report.numbers import MISSING, listed, percent
from bench.report.textbook import claim_tables
from bench.report.textbook.claim_tables import OUTCOMES

LOOK: dict[Word, Mark] = {"holds": "first"}

RULES = (
    "Claims about what a decay does, against constant LR, are tested as the primary test of a report is: a block is a "
    "task and seed, with equal tries of the peak LR, paired by seed; with BatchNorm a difference counts only if "
    "running and recalibrated statistics both show it; tasks where nothing was learnt, decays that are one run with "
    "constant LR, and choices at an edge of the grid are left out, and listed. Quality pools the budgets that the "
    "suite declared; all else is at the largest of them. A decay is tested where at least half of the tasks count for "
    "it; p is corrected over all decays of a claim, in all families together, and significant at most "
    f"{ALPHA:g}. Holds: at least half of the decays are significantly for it and none against. Holds in part: fewer, "
    "and none against. Mixed: some for, some against. Does not hold: some against, none for. With none either way: "
    "equal, where at least half of the decays lie within one margin (the smallest difference worth having) of "
    "constant LR to both sides; BatchNorm statistics only, where some would be significant by running statistics; too "
    "few blocks, where so few could not have shown it; else not clear. A verdict of one task rests on that task alone.",
    "Hyperparameters: tested in the same way is how far the mean over the peak LRs of the grid ends behind the best of "
    "them, with a decay and with constant LR on the same grid. The claim holds where a decay loses more by a peak LR "
    "left to chance, and does not where it loses less or equally much. The counts of pairs beside it describe, and "
    "take choices at an edge, too.",
    "The best rate: regret is how far the peak LR that control chose ends behind the grid's best one in hindsight, "
    "which flatters the latter. The claim holds where regret is clearly above the task's margin in at least "
    f"{percent(claims.MOST)} of all pairs of a task and a decay, does not hold where it is shown to lie within the "
    f"margin in {percent(lr_choice.SURE)}, and is not clear otherwise; a choice at an edge of the grid shows neither.",
    f"Compute: of all pairs of a task and a decay, the claim holds where at least {percent(claims.MOST)} cost so much, "
    f"holds in part from {percent(claims.SOME)} on, and does not hold below that.",
    "Each task is judged from the one ledger that has most seeds of it; tasks with one seed, and the wind tunnel's, "
    "which are no networks, take no part. A family is as wide as its tasks.",
)


class VerdictRow(NamedTuple):
    """The verdict on a claim."""

    claim: str
    place: str
    word: Word
    evidence: str
    n: str
    alone: str | None = None  # the one task that it rests on


def write(directories: Sequence[Path], out: Path, costs: Path | None = None) -> None:
    """Judge the claims on the ledgers of some runs, and write the page. The same ledgers give the same bytes.

    Raises:
        InputError: a directory without a ledger, or two of one name; costs that can't be read.
    """
    names = [directory.resolve().name for directory in directories]
    if len(set(names)) < len(names):
        raise InputError(f"directories of ledgers should differ in name, not {', '.join(names)}")
    ledgers = {
        name: Comparison(results.Study.of(ledger.read(directory, [], results.KINDS)))
        for name, directory in zip(names, directories, strict=True)
    }
    text = markup.markdown(document(ledgers, Costs.read(costs) if costs else None))

    def encode(file: IO[bytes]) -> None:
        file.write(text.encode())

    atomic.write(out, encode)


def document(ledgers: Mapping[str, Comparison], costs: Costs | None) -> list[Section]:
    """The page."""
    tasks = entries(ledgers)
    families = {family: [e for e in tasks if e.family == family] for family in FAMILIES}
    quality = claims.panels(families, claims.quality)
    everywhere = {ALL: tasks}
    gap, tuning = (claims.panels(everywhere, measure)[ALL] for measure in (claims.overfitting, claims.sensitivity))
    untuned = lr_choice.untuned(ledgers.values())
    rows = [_tested(QUALITY, family, panel) for family, panel in quality.items()]
    rows += [
        _tested(OVERFITTING, ALL, gap),
        VANISHING,
        tuned(tasks, tuning, untuned),
        _missing(tasks),
        _compute(costs),
    ]
    compared = {(QUALITY, family): panel for family, panel in quality.items()}
    compared |= {(OVERFITTING, ALL): gap, (TUNING, ALL): tuning}
    tables = [claim_tables.tests(": ".join(key), panel) for key, panel in compared.items() if panel.hypotheses]
    return [
        Section("What the textbook claims of learning-rate decay", (_verdicts(rows), *RULES)),
        Section("The tests", tuple(tables)),
        Section("The tasks", (claim_tables.tasks(tasks), claim_tables.sizes(tasks))),
        Section("What is left out", tuple(claim_tables.omissions(tasks))),
        *([Section("What deciding the LR costs", (claim_tables.costs(costs),))] if costs else []),
    ]


def _verdicts(rows: Sequence[VerdictRow]) -> Table:
    body = tuple(
        (
            Item(row.claim),
            Item(row.place, "prose"),
            Item(row.word + ", of one task" * bool(row.alone), LOOK.get(row.word, "")),
            Item(row.evidence, "prose"),
            Item(row.n),
        )
        for row in rows
    )
    return Table("The claims, and the evidence in the ledgers", ("claim", "where", "verdict", "evidence", "n"), body)


# --------------------------------------------------------------------------- decays against constant LR

QUALITY = "Higher quality for the same epochs, with decay"
OVERFITTING = "Decay avoids overfitting"
TUNING = "Decay needs hyperparameters set by hand"
ALL = "all families"

VANISHING = VerdictRow(
    "Decay keeps gradients from vanishing",
    ALL,
    "not testable with this measure",
    "Ledgers hold the norm of the whole gradient. At the end of training it is small because the training data is "
    "fitted, whether or not gradients vanish on their way through the layers, which a norm for each layer would show.",
    MISSING,
)


def _tested(claim: str, place: str, panel: ClaimPanel) -> VerdictRow:
    n = f"{_n(len(panel.tasks), 'task')}, {panel.blocks} blocks"
    return VerdictRow(claim, place, panel.word, _outcomes(panel) + ".", n, panel.alone)


def _outcomes(panel: ClaimPanel) -> str:
    """The decays of each outcome. Those that rest on one task of several say so."""

    def name(h: Hypothesis) -> str:
        return f"{h.strategy} (of {h.tasks[0]} alone)" if len(h.tasks) == 1 < len(panel.tasks) else h.strategy

    if not panel.hypotheses:
        return "Nothing recorded counts for or against it"
    groups = {group: [name(h) for h in panel.of(word)] for word, group in OUTCOMES.items()}
    phrases = [f"{group}: {listed(names)}" for group, names in groups.items() if names]
    return f"Of {_n(len(panel.hypotheses), 'decay')}, {'; '.join(phrases)}"


def _n(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"


# ------------------------------------------------------------------------------------- the choice of peak LRs


def tuned(tasks: Sequence[ClaimTask], panel: ClaimPanel, untuned: Pairs) -> VerdictRow:
    row = _tested(TUNING, ALL, panel)
    decays, constant = lr_choice.tuning(tasks), lr_choice.tuning(tasks, constant=True)
    evidence = f"Tested is the loss by a peak LR left to chance, beside constant LR's. {row.evidence}"
    if decays.pairs:
        evidence += (
            f" Some peak LR of the grid ends clearly worse than the best one in {_of(decays)} of a task and a decay, "
            f"and with constant LR in {constant.hits} of {_n(constant.pairs, 'task')}."
        )
    if untuned.pairs:
        evidence += f" Optimizers without a tuned LR end clearly worse than the best tuned decay in {_of(untuned)}."
    return row._replace(word="does not hold" if panel.word == "equal" else panel.word, evidence=evidence)


def _missing(tasks: Sequence[ClaimTask]) -> VerdictRow:
    misses, constant = lr_choice.missing(tasks), lr_choice.missing(tasks, constant=True)
    if not misses.regrets and misses.unstated:
        evidence = "No task states the smallest difference worth having, so no regret can be called large or small"
    elif not misses.regrets:
        evidence = "Nothing recorded counts for or against it"
    else:
        evidence = f"Regret is {_regrets(misses)}"
        evidence += f"; with constant LR it is {_regrets(constant)}" * bool(constant.regrets)
        if misses.unstated:
            evidence += f". In {_n(misses.unstated, 'more pair')} the task states no margin"
    n = f"{_n(misses.tasks, 'task')}, {_n(len(misses.regrets), 'pair')}"
    return VerdictRow("Decay may miss the best rate", ALL, misses.word, evidence + ".", n)


def _regrets(misses: Misses) -> str:
    n = {miss: misses.number(miss) for miss in ("missed", "within the margin", "edge of the grid", "open")}
    return (
        f"clearly above the margin in {n['missed']} of {_n(len(misses.regrets), 'pair')}, shown to lie within it in "
        f"{n['within the margin']}, not known in {n['edge of the grid']} for a choice at an edge of the grid, and open "
        f"in {n['open']}"
    )


def _compute(costs: Costs | None) -> VerdictRow:
    claim = "Decay costs compute"
    if costs is None:
        return VerdictRow(claim, ALL, "not tested", "No costs were given.", MISSING)
    costly = lr_choice.costly(costs)
    task, schedule, share = max(costs.shares(), key=lambda row: row[2])
    evidence = (
        f"Deciding the LR takes {percent(lr_choice.COST)} of an update or more in {_of(costly)}; at most "
        f"{100 * share:.2g} %, of {schedule} on {task}."
    )
    return VerdictRow(claim, ALL, costly.word, evidence, f"{_n(costly.tasks, 'task')}, {_n(costly.pairs, 'pair')}")


def _of(pairs: Pairs) -> str:
    return f"{pairs.hits} of {_n(pairs.pairs, 'pair')}"
