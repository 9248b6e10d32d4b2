"""Checkpoints of transformers, in a folder, in `models/` next to the data or on the hub; and their classifiers."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.contract import Data, InputError, Split
from tasks.data.dataset import HUB, root

CONFIG = "config.json"
WEIGHTS = "*.safetensors", "*.bin"
NEW = re.compile(r"pooler|masked_spec_embed")
"""Weights of a body that many published checkpoints lack, because their pretraining does not use them."""
NUMBERED = re.compile(r"(?P<list>\D+)\.\d+(?=\.)")
"""A layer in the name of a weight: `encoder.layer.3` in `encoder.layer.3.output.dense.weight`."""


def folder(name: str) -> Path | None:
    """The folder of a checkpoint: `name` itself, or DIR/models/NAME; None if neither holds one."""
    places = [Path(name)] + [Path(root()) / "models" / name] * (root() not in ("", HUB))
    return next((place for place in places if (place / CONFIG).is_file()), None)


def find(name: str) -> tuple[Path | str, bool]:
    """(the checkpoint's folder or its name on the hub, True if a download is allowed).

    Raises:
        InputError: there is no such folder, the cache lacks it, and downloads are not allowed.
    """
    if (place := folder(name)) is not None:
        return place, False
    if root() != HUB and not _cached(name):
        raise InputError(
            f"no model {name!r}: give a folder that holds its {CONFIG}, or put one into DIR/models/{name} "
            f"(hf download {name} --local-dir DIR/models/{name}), or give --data {HUB}"
        )
    return name, root() == HUB


def directory(name: str) -> Path:
    """The folder of its files; for a checkpoint of the hub, the folder in the cache named by the revision."""
    place, fetch = find(name)
    if isinstance(place, Path):
        return place
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, CONFIG, local_files_only=not fetch)).parent


def quiet() -> None:
    """Silence transformers: it would warn that the head is new, which is intended."""
    import transformers

    logs: Any = transformers.utils.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()


def classifier(auto: Any, place: Path | str, config: Any, *, fetch: bool) -> tuple[Any, set[str]]:
    """The classifier that `auto` builds from a checkpoint, and the names of the weights that are new.

    New are the head and all weights that the files lack. They come from torch's global generator, so they depend on
    the seed. A head in the files, whatever its size, is replaced as a whole.

    Raises:
        InputError: the files do not fit the configuration.
    """
    options = {"local_files_only": not fetch, "ignore_mismatched_sizes": True, "output_loading_info": True}
    model, info = auto.from_pretrained(place, config=config, **options)
    within = f"{model.base_model_prefix}."
    misfits = {name for name, *_ in info["mismatched_keys"]}
    if wrong := sorted(name for name in misfits if name.startswith(within)):
        raise InputError(f"{place}: its {wrong[0]} is not of the size that its {CONFIG} says")
    if absent := sorted(name for name in info["missing_keys"] if name.startswith(within) and not NEW.search(name)):
        raise InputError(f"{place}: its files lack {absent[0]} ({len(absent)} in all), which its {CONFIG} says it has")
    modules = {name for name, _ in model.named_modules()}
    for name in sorted(info["unexpected_keys"]):
        layer = NUMBERED.match(name.removeprefix(within))
        if layer and layer["list"] and within + layer["list"] in modules and within + layer[0] not in modules:
            raise InputError(f"{place}: its files hold {name}, a layer more than its {CONFIG} says")
    weights = {name for name, _ in model.named_parameters()}
    new = weights & (misfits | set(info["missing_keys"]))
    head = {name for name in weights if not name.startswith(within)}
    if head - new:
        other = auto.from_config(config)
        parts = [*other.named_children(), *other.named_parameters(recurse=False)]
        for name, part in parts:
            if name != model.base_model_prefix:
                setattr(model, name, part)
    return model, new | head


def stamped(data: Data, name: str, *, weights: bool = True) -> Data:
    """The data with a digest that also covers the checkpoint: cells with other initial weights are other cells.

    For a folder the configuration and (if `weights`) the weights count, for a checkpoint of the hub its revision.
    """
    assert isinstance(data.train, Split)
    return data._replace(train=replace(data.train, stamp=_stamp(name, weights)))


def _stamp(name: str, weights: bool) -> str:
    place = directory(name)
    if folder(name) is None:
        return place.name
    if weights:
        _require_whole(place)
    files = [file for pattern in (CONFIG, *(WEIGHTS if weights else ())) for file in sorted(place.glob(pattern))]
    return _digest(tuple((file, stat.st_size, stat.st_mtime_ns) for file in files for stat in (file.stat(),)))


def _require_whole(place: Path) -> None:
    """Refuse weights that are missing or truncated, or that lack files of their index; they are not read in full."""
    from safetensors import SafetensorError, safe_open

    try:
        index = [
            json.loads(file.read_bytes())["weight_map"].values() for file in place.glob("*.safetensors.index.json")
        ]
        absent = sorted({name for names in index for name in names if not (place / name).is_file()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{place}: its index of weights cannot be read") from None
    if absent or not any(file for pattern in WEIGHTS for file in place.glob(pattern)):
        raise InputError(
            f"{place} has a {CONFIG}, but lacks {absent[0] if absent else 'weights'}: copy the whole folder"
        )
    for file in sorted(place.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError):
            raise InputError(f"{file} is no whole file of weights: it is cut short or another file") from None


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Digest of the files' contents. Cached by size and modification time, because data are loaded many times."""
    h = hashlib.sha256()
    for file, *_ in files:
        with file.open("rb") as content:
            h.update(hashlib.file_digest(content, "sha256").digest())
    return h.hexdigest()


def _cached(name: str) -> bool:
    """True if the hub's cache has the model."""
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(name, CONFIG), str)
    except ValueError:  # no name that the hub could have
        return False
