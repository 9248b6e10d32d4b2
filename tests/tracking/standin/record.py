"""Record what the real client sends: `python -m tests.tracking.standin.record` writes `traffic.jsonl` again.

The client (in the versions that this checkout pins) talks to the stand-in; its requests are recorded. If a later
stand-in no longer understands the client, a test that replays them fails.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tracking.standin.server import KEY, StandIn

TRAFFIC = Path(__file__).with_name("traffic.jsonl")
PROJECT = "recorded"


def converse(folder):
    """Make the client do everything that Glideslope uses it for, once."""
    import wandb
    import wandb_workspaces.reports.v2 as wr

    def begin(name, **more):
        settings = wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True)
        config = {"task": "digits(model='mlp')", "peak_lr": 0.1, "seed": 0}
        options = {"group": "tiny", "job_type": "digits", "tags": ["cosine()"], "config": config}
        return wandb.init(entity="team", project=PROJECT, id=name, settings=settings, dir=folder, **options, **more)

    run = begin("online")
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    for step in range(3):
        run.log({"step": step, "loss": 1 / (step + 1)})
    run.summary["final"] = 0.5
    ledger = Path(folder) / "part-000.jsonl"
    ledger.write_text("{}\n")
    artifact = wandb.Artifact("ledger", type="ledger")
    artifact.add_file(str(ledger))
    run.log_artifact(artifact).wait()
    run.finish()

    run = begin("online", resume="must")
    run.log({"step": 3, "loss": 0.25})
    run.finish(exit_code=1)

    run = begin("offline", mode="offline")
    run.log({"step": 0, "loss": 1.0})
    run.finish()
    for path in Path(folder).glob("wandb/offline-run-*"):
        subprocess.run([sys.executable, "-m", "wandb", "sync", str(path)], check=True, capture_output=True)

    api = wandb.Api()
    for run in api.runs(f"team/{PROJECT}", filters={"group": "tiny"}, lazy=False):
        list(run.scan_history())
        run.history(pandas=False)
    assert api.artifact(f"team/{PROJECT}/ledger:latest").url
    runset = wr.Runset(entity="team", project=PROJECT, filters="Config('seed') == 0", groupby=["config.task"])
    panel = wr.LinePlot(x="step", y=["loss"])
    report = wr.Report(project=PROJECT, entity="team", title="Recorded")
    report.blocks = [wr.PanelGrid(runsets=[runset], panels=[panel]), wr.MarkdownBlock("| a |\n|---|\n| 1 |")]
    report.save(draft=True)
    drafts = wandb.Api().reports(f"team/{PROJECT}")
    drafts.variables["viewType"] = "runs/draft"
    assert [draft.id for draft in drafts] == [report.id]
    copy = wr.Report.from_url(report.url)
    copy.save()
    copy.delete()
    api.run(f"team/{PROJECT}/offline").delete()


def scrubbed(body, secrets):
    """A request's body as text, without the key and names of this machine."""
    text = body.decode()
    for secret, name in secrets.items():
        text = text.replace(secret, name)
    return text


def main():
    server = StandIn()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
            os.environ[f"WANDB_{name}"] = folder
        settings = {"API_KEY": KEY, "BASE_URL": server.url, "SILENT": "true", "ERROR_REPORTING": "false"}
        os.environ.update({f"WANDB_{name}": value for name, value in settings.items()})
        try:
            converse(folder)
        finally:
            print(*server.violations, sep="\n")
        secrets = {KEY: "KEY", socket.gethostname(): "host", sys.executable: "python", str(Path.cwd()): "checkout"}
        with TRAFFIC.open("w") as file:
            for request in server.traffic:
                plain = not request["path"].startswith("/storage/run/")  # these hold the list of installed packages
                line = {"method": request["method"], "path": request["path"], "operation": request["operation"]}
                line["body"] = scrubbed(request["body"], secrets) if plain else ""
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
