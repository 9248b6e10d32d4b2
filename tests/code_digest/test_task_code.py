"""A task whose code has changed: its recorded cells stay in the ledger, don't count, and are in no table."""

from dataclasses import replace

import pytest

import tasks
from bench.analysis.results import Study
from bench.cli import main
from bench.code_digest import digest
from bench.contract import Cell
from bench.ledger import ledger, provenance
from bench.runner.config import RunConfig, prepare
from schedules import user_code
from tests.runs import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PARITY = TEXT.partition("<!-- file: tasks/parity.py -->")[2].partition("```python\n")[2].partition("```")[0]
COMMON = ["--schedules", "constant,cosine", "--budgets", "0.1", "--peak-lrs", "0.1", "--seeds", "2", "--workers", "1"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command on `quadratic` and the task that a text makes; what was printed."""

    def run(text, *more):
        path = tmp_path / "parity.py"
        path.write_text(text)
        digest.file.cache_clear()
        monkeypatch.setitem(tasks.CATALOGUE, "parity", user_code.execute(path, "task").parity)
        order = ["run", "smoke", "--tasks", "parity,quadratic", *COMMON, *more, "--out", str(tmp_path / "out")]
        assert main.main(order) == 0
        return capsys.readouterr().out

    return run


def study(folder):
    return Study.of(ledger.read(folder))


def test_after_a_changed_width_the_same_command_trains_again_and_says_why_in_one_line(run, tmp_path):
    first = run(PARITY)
    old = study(tmp_path / "out")
    assert "4 cells of parity" not in first
    again = run(PARITY.replace("mlp(8, 16, 2)", "mlp(8, 2, 2)"))
    (line,) = [line for line in again.splitlines() if "recorded under other code" in line]
    assert "4 cells of parity" in line
    assert "quadratic" not in line
    assert "2 to do here" in again  # the two cohorts of parity, and none of quadratic
    new = study(tmp_path / "out")
    assert (len(old.tries), len(new.tries), new.missing, len(new.cohorts)) == (8, 8, 0, 4)
    before, after = ({t[:5]: t.ride[0] for t in it.tries} for it in (old, new))
    assert {key[0] for key in before if before[key] != after[key]} == {"parity"}
    assert sum(r.kind == "cell" for r in ledger.read(tmp_path / "out")) == 12
    assert "nothing to train" in run(PARITY.replace("mlp(8, 16, 2)", "mlp(8, 2, 2)"))


def test_back_at_the_old_code_the_old_cells_count_again(run, tmp_path):
    run(PARITY)
    old = study(tmp_path / "out").tries
    run(PARITY.replace("mlp(8, 16, 2)", "mlp(8, 2, 2)"))
    assert study(tmp_path / "out").tries != old
    assert "nothing to train" in run(PARITY)
    assert study(tmp_path / "out").tries == old


def test_a_comment_and_a_helper_that_is_not_used_change_nothing(run):
    run(PARITY)
    more = PARITY.replace("return mlp", "# small\n    return mlp") + "\n\ndef unused():\n    return 1\n"
    assert "nothing to train" in run(more)


def test_a_run_of_other_code_is_extended_again(run, tmp_path):
    run(PARITY)
    assert "4 cells of parity" in run(PARITY.replace("mlp(8, 16, 2)", "mlp(8, 2, 2)"), "--extend")
    more = [word if word != "0.1" or COMMON[i - 1] != "--peak-lrs" else "0.1,0.3" for i, word in enumerate(COMMON)]
    text = run(PARITY.replace("mlp(8, 16, 2)", "mlp(8, 2, 2)"), *more, "--extend")
    assert "8 cells are recorded and not trained again" in " ".join(text.split())
    assert len(study(tmp_path / "out").tries) == 16


def test_ids_from_before_code_was_told_stand():
    cell = Cell("digits", "cosine", "sgd(momentum=0.9)", 0.1, 0.0, 1.0, 100, 0, "abc")
    assert cell.id == "bd4739ff4450"
    assert replace(cell, code="x").id not in (cell.id, replace(cell, averaging="x").id)
    core = prepare(RunConfig(suite="core")).plan
    recorded = {r.key for r in ledger.read(ROOT / "results" / "core", kinds=("cell",))}
    assert {c.id for c in core.cells} == recorded  # written since codes are told
    assert recorded.isdisjoint(c.id for c in core.coded({}).cells)


PROPERTIES = {"name": "A", "major": 9, "minor": 0, "multi_processor_count": 132}


@pytest.mark.parametrize(
    "change", [{"name": "B"}, {"minor": 1}, {"cuda": "13.1"}, {"cudnn": 99}, {"timm": "0"}, {"torchvision": "0"}]
)
def test_another_gpu_or_library_is_another_environment(monkeypatch, change):
    import torch

    def fingerprint(device="cuda:0", **facts):
        facts = PROPERTIES | {"cuda": "12.8", "cudnn": 91} | facts
        properties = type("Properties", (), facts)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda: facts["cudnn"])
        monkeypatch.setattr(torch.version, "cuda", facts["cuda"])
        monkeypatch.setattr(provenance, "_version", lambda name: facts.get(name, "1"))
        return provenance.describe("p", device, 1).fingerprint

    assert fingerprint() == fingerprint("cuda:1")
    assert fingerprint() != fingerprint(**change)
    assert fingerprint() != fingerprint("cpu")
