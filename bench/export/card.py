"""The model card of an exported model, made from the ledger alone; every number stands with its n and its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.engine import STACKING
from bench.export import formats
from bench.export.winner import Winner
from bench.report.markup import Facts, Section, markdown, passage
from bench.report.numbers import number, quantity, value

if TYPE_CHECKING:
    from bench.export.folder import Exported

NAME = "README.md"
CHOICE = "unless one is asked for, the one with the best control value of those whose weights are kept"


def text(winner: Winner, exported: Exported, why: Sequence[str]) -> str:
    """The card, as Markdown with the head that model hubs read."""
    library = {"torch": "pytorch"}.get(exported.library, exported.library)
    head = ["---", f"library_name: {library}", "tags:", "- glideslope", "metrics:", f"- {winner.facts.metric}", "---"]
    preprocessing = (line.split(": ", 1) for line in exported.preprocessing)
    facts = {
        "How good": _results(winner),
        "How trained": _training(winner),
        "Data": _data(winner, exported),
        "Preprocessing": ((name, text) for name, text in preprocessing),
        "Where from": _provenance(winner, exported),
    }
    title = f"{winner.cell.settings.task}, trained by {winner.strategy}"
    sections = [Section(title, tuple(why)), *(Section(name, (Facts(tuple(lines)),)) for name, lines in facts.items())]
    code = "\n".join(["```python", *_snippet(winner, exported), "```"])
    loading = "\n\n".join(["## How to load", code, *map(passage, _loading(winner, exported))])
    return "\n".join(head) + "\n\n" + markdown(sections) + "\n" + loading + "\n"


def same(winner: Winner, exported: Exported) -> list[str]:
    """Scores that are those of the ledger to the last bit."""
    return [name for name, score in exported.scores.items() if winner.result.final.get(name) == score]


def _results(winner: Winner) -> Iterator[tuple[str, str]]:
    facts, metric, result = winner.facts, winner.facts.metric, winner.result
    yield f"{metric} on test, this model", number(result.final[metric])
    final = winner.score.final
    if final is not None and final.half is not None:
        yield f"{metric} on test, this strategy", f"{value(final)} (95 % interval over n = {final.n} seeds)"
    if result.recalibrated is not None:
        yield "this model with BatchNorm statistics recomputed", number(result.recalibrated[metric])
    others = [f"{name} {number(score)}" for name, score in result.final.items() if name != metric]
    if others:
        yield "on test, too", ", ".join(others)
    if facts.baseline is not None:
        yield f"baseline, {facts.baseline.name}", number(facts.baseline.value)
    if facts.chance:
        yield "for comparison", facts.chance


def _training(winner: Winner) -> Iterator[tuple[str, str]]:
    settings, facts, peaks = winner.cell.settings, winner.facts, winner.score.peak_lrs
    yield "schedule", settings.schedule
    decay = "" if settings.weight_decay is None else f", weight decay {settings.weight_decay:g}"
    yield "optimizer", settings.optimizer + decay
    if settings.averaging != "none":
        yield "weights averaged", settings.averaging
    tried = f", chosen on control among {', '.join(f'{peak:g}' for peak in peaks)}" if len(peaks) > 1 else ""
    yield "peak learning rate", f"{settings.peak_lr:g}{tried}"
    budget = f"{quantity(settings.epochs, facts.unit)}, {quantity(settings.total, 'updates')}"
    yield "budget", f"{budget} of {facts.batch_size} examples"
    seeds = [t.seed for t in winner.score.tries if t.peak_lr == settings.peak_lr]
    choice = f", of {len(seeds)} that were run; {CHOICE}" if len(seeds) > 1 else ""
    yield "seed", f"{settings.seed}{choice}"
    yield "engine", ", ".join(filter(None, (settings.engine, settings.arithmetic)))


def _data(winner: Winner, exported: Exported) -> Iterator[tuple[str, str]]:
    facts = winner.facts
    yield "source", facts.source
    if exported.classes:
        yield "classes", ", ".join(exported.classes)
    yield "examples", f"{', '.join(f'{name} {n:,}' for name, n in facts.sizes.items())}; digest {facts.digest}"
    yield "test", "had no part in training or in any choice"


def _loading(winner: Winner, exported: Exported) -> Iterator[str]:
    """Sentences on the inputs, and on the score of what loads."""
    shapes = ", ".join(f"{a['dtype']} [{', '.join(map(str, a['shape']))}]" for a in exported.inputs)
    yield f"It takes {shapes}."
    exact = same(winner, exported)
    others = [f"{name} {score!r}" for name, score in exported.scores.items() if name not in exact]
    texts = [f"{', '.join(exact)} as in the ledger, to the last bit"] if exact else []
    texts += [f"{', '.join(others)} instead of the ledger's, as {_reason(winner)}"] if others else []
    place = f"a CPU with {quantity(exported.threads, 'threads')}{', in channels_last' * exported.channels_last}"
    file = formats.PROGRAM if exported.form == "torch-export" else formats.WEIGHTS
    yield f"{file}, loaded and scored on test again, on {place}: {'; '.join(texts)}."


def _reason(winner: Winner) -> str:
    """Reason why a model reads in other bits than its ledger."""
    settings, attempt = winner.cell.settings, winner.attempt
    if settings.arithmetic:
        return f"there it was evaluated with {settings.arithmetic}"
    if attempt is not None and attempt.device != "cpu":
        return f"there it was evaluated on a {attempt.device}"
    if settings.engine in STACKING:
        engine = settings.engine
        return f"there it was evaluated beside others by the engine {engine}, whose kernels round in another order"
    return "other versions or another processor round in another order"


def _snippet(winner: Winner, exported: Exported) -> Iterator[str]:
    if exported.form == "torch-export":
        yield "import torch"
        yield ""
        yield f'model = torch.export.load("{formats.PROGRAM}").module()'
    elif exported.form == "onnx":
        yield "import onnxruntime"
        yield ""
        yield f'model = onnxruntime.InferenceSession("{formats.ONNX}")'
    elif exported.library == "timm":
        yield "import timm"
        yield ""
        yield 'model = timm.create_model("local-dir:PATH/OF/THIS/FOLDER", pretrained=True).eval()'
    elif exported.library == "transformers":
        yield f"from transformers import {exported.loads.rpartition('.')[2]}"
        yield ""
        yield f'model = {exported.loads.rpartition(".")[2]}.from_pretrained("PATH/OF/THIS/FOLDER").eval()'
    else:
        yield "import tasks  # of Glideslope; or build the same module by hand"
        yield "from safetensors.torch import load_file"
        yield ""
        yield f"model = tasks.parse({exported.task!r}).model()"
        yield f'model.load_state_dict(load_file("{formats.WEIGHTS}"))'
        yield "model.eval()"


def _provenance(winner: Winner, exported: Exported) -> Iterator[tuple[str, str]]:
    settings, attempt = winner.cell.settings, winner.attempt
    yield "cell", f"{settings.cell} of plan {winner.comparison.study.plan.plan}"
    yield "sha256 of the weights", winner.file.sha256
    yield "model", exported.model
    if attempt is not None:
        changes = " with uncommitted changes" if attempt.dirty else ""
        yield "Glideslope", f"commit {attempt.commit or 'unknown'}{changes}, {attempt.time}, on {attempt.device}"
        yield "versions", ", ".join(f"{name} {version}" for name, version in attempt.versions.items() if version)
