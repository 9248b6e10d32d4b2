"""Extras of the package: which of them brings a module that is missing, as a line that ends in a command of pip."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from bench.contract import InputError

REPORT = ("scipy", "scikit_posthocs", "matplotlib")

EXTRAS = {
    "report": REPORT,
    "bench": (
        *REPORT,
        *("torch", "torchvision", "timm", "transformers", "datasets", "accelerate", "safetensors"),
        *("huggingface_hub", "PIL", "soundfile", "faster_coco_eval", "sympy", "sklearn", "mlxtend", "sktime"),
    ),
    "wandb": ("wandb", "wandb_workspaces"),
    "contenders": ("schedulefree", "prodigyopt", "dadaptation", "momo"),
    "optimizers": ("pytorch_optimizer",),
    "lora": ("peft",),
    "sentencepiece": ("sentencepiece",),
    "onnx": ("onnx", "onnxscript"),
}
"""Modules that each extra in pyproject.toml brings, by the name of their import."""


def require(*extras: str) -> None:
    """Check that the modules of these extras are installed, without importing any.

    Raises:
        InputError: some are not; the line names them, and the command that installs them.
    """
    missing = [name for extra in extras for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        lacking = [extra for extra in extras if set(EXTRAS[extra]) & set(missing)]
        raise InputError(_line(missing, ",".join(lacking)))


def explain(error: ModuleNotFoundError) -> str | None:
    """The line about a module that an import did not find; None if no extra brings it."""
    top = (error.name or "").partition(".")[0]
    extra = next((extra for extra, names in EXTRAS.items() if top in names), None)
    return None if extra is None or find_spec(top) is not None else _line([top], extra)


def _line(missing: Iterable[str], extras: str) -> str:
    names = list(missing)
    verb = "is" if len(names) == 1 else "are"
    # From the clone, since Glideslope is on no index.
    return f"this needs {', '.join(names)}, which {verb} not installed: in the clone, pip install '.[{extras}]'"
