"""The page of which optimizers of timm and pytorch_optimizer train here, and why others are refused.

python -m bench.engine.dry_run.table > bench/strategies/OPTIMIZERS.md
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version

from bench.contract import InputError
from bench.engine.dry_run.optimizer import check
from bench.strategies import optimizers

LISTS = {
    "timm": ("timm.optim", "list_optimizers"),
    "pytorch_optimizer": ("pytorch_optimizer", "get_supported_optimizers"),
}
"""Module and function that names a library's optimizers."""

HEAD = """# Optimizers of libraries

Made by `python -m bench.engine.dry_run.table`: each line is the outcome of trials with the defaults of the library.
A plan tries an optimizer out in the same way, with the settings that it names, and refuses it in one line.
"""


def names(library: str) -> list[str]:
    """Names of all optimizers of a library."""
    module, function = LISTS[library]
    listed: list[str] = sorted(getattr(importlib.import_module(module), function)())
    return listed


def verdict(library: str, name: str) -> str:
    """Outcome of a trial: `trains`, or the reason why not, which may hold with weight decay only."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about their own defaults
            text = optimizers.parse(f"{library}({name!r})").text
            try:
                check(text, decays=True)
            except InputError as error:
                check(text, decays=False)
                return f"at weight decay 0 only: {_reason(error)}"
    except InputError as error:
        return _reason(error)
    return "trains"


def _reason(error: InputError) -> str:
    """The line of a refusal without the optimizer's name."""
    return re.sub(r"^(optimizer )?\w+\('[^']*'\)( cannot be used here)?[,:]? ", "", str(error))


def section(library: str) -> Iterator[str]:
    """Lines of the page about one library: reasons, each with the optimizers that it holds for."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name in names(library):
        by_reason[verdict(library, name)].append(name)
    yield from ("", f"## {library} {version(library)}", "", "| outcome | optimizers |", "|---|---|")
    for reason in sorted(by_reason, key=lambda reason: (reason != "trains", reason)):
        outcome = reason if reason == "trains" or reason.startswith("at weight") else f"refused: {reason}"
        yield f"| {outcome.replace('|', '/')} | {', '.join(f'`{name}`' for name in by_reason[reason])} |"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD.rstrip(), *(line for library in LISTS for line in section(library))]) + "\n"


if __name__ == "__main__":
    print(page(), end="")
