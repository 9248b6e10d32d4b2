"""Our factors against every library that is installed, at every update: equal, or deviating as the claim explains."""

import csv
import io

import pytest

import schedules
from bench.conformance import factors
from bench.conformance.document import family
from bench.conformance.equivalents import T
from bench.conformance.factors import LIBRARIES
from tests.runs import ROOT

CLAIMS = [(library, claim) for library in LIBRARIES for claim in library.equivalents]
ALWAYS = ("torch", "timm", "transformers")


@pytest.mark.parametrize(("library", "claim"), CLAIMS, ids=[f"{it.name}: {claim.theirs}" for it, claim in CLAIMS])
def test_a_library_agrees_or_deviates_as_explained(library, claim):
    if not library.installed:
        pytest.skip(f"{library.name} is not installed")
    found = factors.compare(library, claim)
    assert found.explained, f"{claim.schedule}: expected {claim.known}, found {found.finding}"


def test_the_libraries_of_the_project_are_all_read():
    assert [it.name for it in LIBRARIES if it.name in ALWAYS and it.installed] == list(ALWAYS)


@pytest.mark.parametrize(("library", "claim"), CLAIMS, ids=[f"{it.name}: {claim.theirs}" for it, claim in CLAIMS])
def test_a_claim_says_why_it_deviates_or_nothing(library, claim):
    assert schedules.parse(claim.schedule).text == claim.schedule
    assert (claim.known == "equal") == (claim.why == "")
    assert not claim.why or (claim.why[0].isupper() and claim.why.endswith("."))


def test_no_claim_stands_twice():
    assert len(set(CLAIMS)) == len(CLAIMS)


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
    torch, claim = LIBRARIES[0], factors.Claim("linear", "LinearLR(o, 1.0, 0.0, T)", total=4)
    assert torch.trace(claim) == pytest.approx([1, 0.75, 0.5, 0.25])
    assert torch.trace(claim._replace(every=2)) == pytest.approx([1, 1, 0.75, 0.75])
    assert len(factors.ours(claim)) == 4
    assert len(factors.ours(claim._replace(total=T))) == T


def test_the_results_have_every_claim():
    """`uv run --group conform glideslope conform --out results/conformance` writes them anew."""
    lines = csv.DictReader(io.StringIO((ROOT / "results" / "conformance" / "table.csv").read_text()))
    written = [(line["library"], line["schedule"], line["call"], line["verdict"], line["why"]) for line in lines]
    assert written == [(it.name, claim.schedule, claim.theirs, claim.known, claim.why) for it, claim in CLAIMS]
