"""Our factors against every library that is installed, at every update: equal, or deviating as explained."""

import csv
import io

import pytest

import schedules
from bench.conformance import factors
from bench.conformance.document import family
from bench.conformance.equivalents import Equivalent, T
from bench.conformance.factors import LIBRARIES
from tests.runs import ROOT

CALLS = [(library, equivalent) for library in LIBRARIES for equivalent in library.equivalents]
IDS = [f"{library.name}: {equivalent.call}" for library, equivalent in CALLS]
ALWAYS = ("torch", "timm", "transformers")


@pytest.mark.parametrize(("library", "equivalent"), CALLS, ids=IDS)
def test_a_library_agrees_or_deviates_as_explained(library, equivalent):
    if not library.installed:
        pytest.skip(f"{library.name} is not installed")
    found = factors.compare(library, equivalent)
    assert found.explained, f"{equivalent.schedule}: expected {equivalent.expected}, found {found.finding}"


def test_the_libraries_of_the_project_are_all_read():
    assert [it.name for it in LIBRARIES if it.name in ALWAYS and it.installed] == list(ALWAYS)


@pytest.mark.parametrize(("library", "equivalent"), CALLS, ids=IDS)
def test_a_call_says_why_it_deviates_or_nothing(library, equivalent):
    assert schedules.parse(equivalent.schedule).text == equivalent.schedule
    assert (equivalent.expected == "equal") == (equivalent.why == "")
    assert not equivalent.why or (equivalent.why[0].isupper() and equivalent.why.endswith("."))


def test_no_call_occurs_twice():
    assert len(set(CALLS)) == len(CALLS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("wsd(shape='power', power=3)", "wsd"),
        ("stages([constant, linear(floor=0.1)], [0.25, 0.75])", "constant"),
        ("warmup(cooldown(inverse_time(tau=2, power=0.7), fraction=0.5), epochs=2, first=0)", "inverse_time"),
        ("cooldown(inverse_sqrt(tau=2), shape='sqrt')", "inverse_sqrt"),
    ],
)
def test_a_family_is_what_a_call_is_about(text, name):
    assert family(text) == name


def test_a_trace_is_read_when_the_update_is_taken():
    torch, equivalent = LIBRARIES[0], Equivalent("linear", "LinearLR(o, 1.0, 0.0, T)", total=4)
    assert torch.trace(equivalent) == pytest.approx([1, 0.75, 0.5, 0.25])
    assert torch.trace(equivalent._replace(every=2)) == pytest.approx([1, 1, 0.75, 0.75])
    assert len(factors.own_factors(equivalent)) == 4
    assert len(factors.own_factors(equivalent._replace(total=T))) == T


def test_the_results_have_every_call():
    """`uv run --group conform glideslope conform --out results/conformance` writes them."""
    lines = csv.DictReader(io.StringIO((ROOT / "results" / "conformance" / "table.csv").read_text()))
    written = [(line["library"], line["schedule"], line["call"], line["verdict"], line["why"]) for line in lines]
    assert written == [(it.name, call.schedule, call.call, call.expected, call.why) for it, call in CALLS]
