"""Language models on a corpus of the user's own: texts, tables or shards of token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import Array, Data, InputError, Margin, Task
from schedules.spec import choose, render
from tasks.data import checkpoint
from tasks.data.dataset import root
from tasks.language import corpus, ngrams, pieces, rows
from tasks.language.pieces import BYTES, IDS
from tasks.language.settings import require

if TYPE_CHECKING:
    from torch import nn

SMALL = "small"
"""The model that needs no files."""

EVALUATED = 2**18
"""Ids that are predicted in control and in test, at most."""

PIECE = 2**20
"""Ids of a shard that are checked at once."""

ALL = 10**12
"""More ids than a corpus has."""

KINDS = (
    ("data", str, "the path or the name of a corpus"),
    ("model", str, "small, a folder or a name"),
    ("tokenizer", str, "bytes, ids, or the folder or name of a checkpoint"),
    ("scratch", bool, "True or False"),
    ("tied", bool | None, "True, False or None"),
    ("z_loss", int | float, "a finite number, 0 or more"),
)
"""Types of the arguments that are no whole numbers, and what they should be."""


@dataclass(frozen=True)
class Settings:
    """Arguments of `lm`."""

    data: str
    model: str
    tokenizer: str
    scratch: bool
    context: int
    batch: int
    tokens: int
    width: int
    depth: int
    tied: bool | None
    z_loss: float
    vocabulary: int
    dtype: str

    @property
    def text(self) -> str:
        """The call with all arguments that are not the usual ones."""
        usual: Any = lm.__kwdefaults__
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name in usual}
        data = (self.data,) if self.data != "lm" else ()
        return render("lm", data, {name: value for name, value in settings.items() if value != usual[name]})

    @property
    def small(self) -> bool:
        return self.model == SMALL

    @property
    def tuned(self) -> bool:
        """True if training begins at the weights of a checkpoint."""
        return not (self.small or self.scratch)

    @property
    def cut(self) -> str:
        """The tokenizer: `bytes`, `ids`, or a checkpoint."""
        return self.tokenizer or (BYTES if self.small else self.model)

    @property
    def peak_lrs(self) -> tuple[float, ...]:
        if self.tuned:
            return 2e-5, 4e-5, 8e-5
        return (0.002, 0.004, 0.008) if self.small else (3e-4, 6e-4, 1.2e-3)

    def check(self) -> None:
        """Refuse settings that are out of range or do not go together.

        Raises:
            InputError: names the setting and what is allowed.
        """
        require("lm", "context", self.context, 2, 2**20)
        require("lm", "batch", self.batch, self.context, 2**30, step=self.context)
        require("lm", "tokens", self.tokens, 0, ALL)
        require("lm", "width", self.width, 16, 2**16, step=16)
        require("lm", "depth", self.depth, 1, 1000)
        require("lm", "vocabulary", self.vocabulary, 0, 2**31 - 1)
        choose(self.dtype, dict.fromkeys(corpus.DTYPES), "dtype of lm")
        for name, kinds, words in KINDS:
            if not isinstance(getattr(self, name), kinds):
                raise InputError(f"lm: {name} is {getattr(self, name)!r}; it should be {words}")
        if not 0 <= self.z_loss < inf:
            raise InputError(f"lm: z_loss is {self.z_loss!r}; it should be a finite number, 0 or more")
        if self.scratch and self.small:
            raise InputError("lm: scratch is of a checkpoint: name one by model=")
        if (self.vocabulary > 0) != (self.small and self.cut == IDS):
            raise InputError(
                "lm: vocabulary is the number of kinds of ids, for shards and the small model: give it with "
                "tokenizer='ids' and without model=, and not else"
            )


def lm(
    data: str = "lm",
    *,
    model: str = SMALL,
    tokenizer: str = "",
    scratch: bool = False,
    context: int = 128,
    batch: int = 4096,
    tokens: int = 0,
    width: int = 64,
    depth: int = 2,
    tied: bool | None = None,
    z_loss: float = 0.0,
    vocabulary: int = 0,
    dtype: str = "uint16",
) -> Task:
    """Next ids of a corpus of one's own, with a small GPT or any causal model of transformers, without dropout.

    The corpus is a folder of texts or of shards, in the layouts of WikiText, SlimPajama and FineWeb: `.txt`, `.raw` and
    `.tokens`; `.jsonl` and `.parquet` with a column `text`; or shards of token ids, `.npy` and `.bin`. Splits are by
    file: by the words train, validation and test in their paths, or else by the hash of their paths; one or two tables
    are split by the hash of each document. Control and test predict 262,144 ids at most. Each file is cut into rows,
    which are seen alone; a row that is in test or control is left out of train.

    A full budget is one pass over `tokens`. The metric is bits per byte for bytes, else the loss in nats per id. No
    logits of a split are held: the model returns the summed loss of each row. AdamW with beta2 = 0.95, weight decay 0.1
    on matrices, gradients clipped to norm 1.

    Args:
        data: A file, a folder, or the name of one in the folder of the data.
        model: `small`, a folder with a config.json, one of `models/` in the folder of the data, or a name on the hub.
        tokenizer: `bytes`, a checkpoint whose tokenizer cuts the texts, or `ids` where the files are shards of ids.
            Without it: `bytes` for the small model, else the model's own.
        scratch: Take only the configuration of the checkpoint, with initial weights.
        context: Ids of a row that are predicted.
        batch: Ids that are predicted in a batch, a multiple of `context`.
        tokens: Ids of a pass, the first ones in the order of the files; 0: all.
        width: Of the small model, a multiple of 16.
        depth: Blocks of the small model.
        tied: Share the weights of embedding and output layer; without it as the model says, and shared in the small.
        z_loss: Weight of the squared log-partition in the training loss, such as 1e-4; no score contains it.
        vocabulary: Kinds of ids, for shards and the small model.
        dtype: Type of the ids in raw shards, uint16 or uint32.

    Raises:
        InputError: a setting is out of range, or settings do not go together.
    """
    settings = Settings(**locals())
    settings.check()
    return _task(settings)


def _task(settings: Settings) -> Task:
    return Task(
        name=settings.text,
        family="language",
        source=f"{settings.data}, a corpus of the user's own, under its own licence",
        batch_size=settings.batch // settings.context,
        epochs=1,
        metric="bits_per_byte" if settings.cut == BYTES else "loss",
        direction="min",
        optimizer="adamw(beta2=0.95, decay='matrices')",
        weight_decay=0.1,
        peak_lrs=settings.peak_lrs,
        layers="transformer" if settings.small else "large",
        load=partial(_load, settings),
        model=partial(_model, settings),
        loss=partial(rows.loss, z_loss=settings.z_loss),
        score=rows.score_bytes if settings.cut == BYTES else rows.score_ids,
        baseline=partial(ngrams.single_ids, settings.cut == BYTES),
        clip=1.0,
        eval_epochs=0.2,
        chance="a uniform guess: the logarithm of the number of kinds of ids, of bytes 8 bits",
        margin=Margin(0.01, "one percent of perplexity, or of the size of a text that compresses to a bit per byte"),
    )


# ---------------------------------------------------------------------------------------------------- data


def _load(settings: Settings) -> Data:
    data = load_lm(settings, root())
    return checkpoint.stamped(data, settings.model) if settings.tuned else data


@cache
def load_lm(settings: Settings, _root: str) -> Data:
    """Rows of ids [n, context + 1] in the smallest type that holds them; numbers of predicted ids [n] int64.

    Raises:
        InputError: the corpus, the tokenizer or the model is missing or wrong, or they do not go together.
    """
    place = corpus.find(settings.data)
    files = corpus.read(place)
    if files.shards != (settings.cut == IDS):
        kind, advice = ("shards of token ids", "say") if files.shards else ("texts", "do not say")
        raise InputError(f"lm: {place} holds {kind}: {advice} tokenizer='ids'")
    stream = _shards(settings) if files.shards else _texts(settings, files)
    split = partial(_rows, settings, place, stream)
    test = split("test", files.test, EVALUATED)
    control = rows.without(split("control", files.control, EVALUATED), test)
    train = split("train", files.train, settings.tokens or ALL)
    if len(train) < settings.tokens // settings.context:
        raise InputError(
            f"lm: tokens={settings.tokens:,}, and {place} has {train.size:,} for training: give fewer, or 0"
        )
    return rows.data(rows.without(train, control, test), control, test, "")


Stream = Callable[[str, Path], "Iterable[Array]"]


def _rows(settings: Settings, place: Path, stream: Stream, split: str, files: Sequence[Path], most: int) -> Array:
    cut = corpus.cut((stream(split, file) for file in files), settings.context, most // settings.context)
    if not len(cut):
        raise InputError(
            f"lm: {place}: no {split} file is longer than a context of {settings.context:,} ids: give a shorter context"
        )
    return cut


def _texts(settings: Settings, files: corpus.Corpus) -> Stream:
    """The ids of a file's texts in a split, a piece at a time."""
    tokenizer = pieces.tokenizer(settings.cut)
    if not settings.small and tokenizer.ids > (room := _room(settings)):
        reason = f"the tokenizer of {settings.cut} has {tokenizer.ids:,} pieces, and {settings.model} {room:,}"
        raise InputError(f"lm: {reason}: it is another model's")

    def stream(split: str, file: Path) -> Iterable[Array]:
        texts = corpus.texts(file)
        own = (t for t in texts if rows.of_document(t) == split) if files.by_document else texts
        return tokenizer.encode(own)

    return stream


def _shards(settings: Settings) -> Stream:
    """The ids of a shard, a piece at a time; each is below the number of the model's."""
    room = settings.vocabulary or _room(settings)

    def stream(_split: str, file: Path) -> Iterable[Array]:
        ids = corpus.shard(file, settings.dtype)
        for begin in range(0, len(ids), PIECE):
            piece = ids[begin : begin + PIECE]
            if int(piece.min()) < 0 or int(piece.max()) >= room:
                worst = int(piece.min()) if int(piece.min()) < 0 else int(piece.max())
                raise InputError(f"lm: {file} holds the id {worst:,}, and there are 0 to {room - 1:,}")
            yield piece.astype(pieces.dtype(room))

    return stream


# ---------------------------------------------------------------------------------------------------- model


def _room(settings: Settings) -> int:
    """Kinds of ids of a model of transformers, whose places suffice for a row."""
    from tasks.language import causal

    ids, places = causal.room(settings.model)
    if places is not None and places < settings.context:
        raise InputError(f"lm: {settings.model} has places for {places:,} ids, and the context is {settings.context:,}")
    return ids


def _model(settings: Settings) -> nn.Module:
    from tasks.language.row_losses import RowLosses

    return RowLosses(_body(settings), settings.batch // settings.context, squares=settings.z_loss > 0)


def _body(settings: Settings) -> nn.Module:
    if settings.small:
        from tasks.language.gpt import GPT

        ids = settings.vocabulary or pieces.tokenizer(settings.cut).ids
        return GPT(ids, settings.context, settings.width, settings.depth, tied=settings.tied is not False)
    from tasks.language import causal

    return causal.pretrained(settings.model, scratch=settings.scratch, tied=settings.tied)
