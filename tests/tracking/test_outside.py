"""Tasks of one's own on W&B: from the ledger alone, also where their code and data are no longer."""

import json
import shutil

import pytest

from bench.ledger import ledger, lines, paths
from bench.ledger.deposit import deposit
from tests.tracking.commands import publish
from tests.tracking.mirrors import assert_mirrors

pytestmark = pytest.mark.faults

NAMES = ("gone.py:task(width=64)@0123456789ab", f"imagefolder('/home/someone/{'deep/' * 30}photos')")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_whose_code_and_data_are_gone_is_published_from_its_ledger(standin, few, tmp_path, name):
    out = shutil.copytree(few, tmp_path / "out")
    text = "\n".join(json.dumps(row._asdict()) for row in ledger.read(out)).replace('"digits"', json.dumps(name))
    shutil.rmtree(paths.ledger(out))
    deposit(out, [lines.Row(**json.loads(line)) for line in text.splitlines()])
    publish(out, "--report")
    assert_mirrors(standin, out, "glideslope")
    assert {run.job_type for run in standin.runs("glideslope").values()} >= {name}
