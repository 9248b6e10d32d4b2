"""README of the schedules: its table is the catalogue, and its examples run."""

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


def practices():
    """(practice, calls, remark) of each row of the table of what others have."""
    lines = README.read_text().partition("## Schedules of other libraries")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [(what, re.findall(r"`([^`]+)`", calls), remark) for what, _, calls, remark in cells[1:]]


@pytest.mark.parametrize(("practice", "calls", "remark"), practices(), ids=[row[0] for row in practices()])
def test_what_others_have_is_here_or_refused_with_a_reason(practice, calls, remark):
    assert calls or remark
    for call in calls:
        assert schedules.parse(call).text


def test_each_schedule_is_the_answer_to_some_practice():
    written = " ".join(call for _, calls, _ in practices() for call in calls)
    names = set(re.findall(r"[a-z_]+(?=\(|\b)", written))
    assert len(practices()) >= 55
    assert set(schedules.CATALOGUE) - names == {"scale", "refined"}  # which no library names; which needs a file
