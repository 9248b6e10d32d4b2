"""The page beside the schedules: its table is the catalogue's, and its examples run."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import schedules

README = Path(schedules.__file__).parent / "README.md"


def row(name):
    """The table's row of a schedule, from its code alone."""
    factory = schedules.CATALOGUE[name]
    call = f"{name}({', '.join(map(spell, inspect.signature(factory).parameters.values()))})"
    formula = "<br>".join(f"`{one_line(line)}`" for line in factory.formula.splitlines())
    return (
        f"| [`{call}`]({factory.__module__.partition('.')[2]}.py) | {formula} | {factory.horizon} | {factory.paper} |"
    )


def one_line(line):
    """A line of a formula, with a comma between its columns."""
    line = re.sub(r" +([<>]?=|[<>]) +", r" \1 ", line.strip())
    return re.sub(" {2,}", ", ", line)


def spell(parameter):
    default = parameter.default
    if default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={default:g}" if isinstance(default, float) else f"{parameter.name}={default!r}"


@pytest.mark.parametrize("name", schedules.CATALOGUE)
def test_the_table_has_each_schedule_as_it_is(name):
    assert row(name) in README.read_text().splitlines()


def test_the_table_has_nothing_else():
    rows = [line for line in README.read_text().splitlines() if line.startswith("| [")]
    assert rows == [row(name) for name in schedules.CATALOGUE]


def test_the_examples_run():
    outcome = doctest.testfile(str(README), module_relative=False)
    assert outcome.attempted >= 3
    assert outcome.failed == 0
