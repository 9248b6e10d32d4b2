"""Generated English: minimal pairs of an acceptable and an unacceptable sentence made of exactly the same pieces.

In the style of CoLA (Warstadt et al., arXiv:1805.12471) and BLiMP (Warstadt et al., arXiv:1912.00582), with a grammar
and words of our own. A sentence is a row of pieces: closed-class words, stems of nouns, verbs and adjectives, and the
endings ##s and ##ed. In three phenomena the two nouns of a sentence exchange their number: the one plural ending moves
to the other noun. In the fourth, two neighbouring words change places. So a bag of pieces cannot tell a pair apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tasks.data.embedded import Draw

# A frame is a row of slots. A slot is a literal word or a class to draw from: N noun, V verb, A adjective,
# P preposition, B linking verb, S reflexive, D determiner; ? is an adjective half of the time. A digit says which of
# the two nouns the slot agrees with.
FRAMES = {
    "agreement": (
        "the ? N1 P the N2 B1 A",
        "the ? N1 which the N2 V B1 A",
        "the N1 B1 A and the N2 B2 A",
    ),
    "reflexive": (
        "the ? N1 P the N2 V S1",
        "the ? N1 which the N2 V V S1",
        "the N1 V S1 and the N2 V S2",
    ),
    "determiner": (
        "D1 ? N1 V D2 ? N2",
        "D1 ? N1 P D2 N2 V the N",
        "D1 N1 which D2 N2 V V the N",
    ),
}
PHENOMENA = (*FRAMES, "order")

# Neighbours that may not change places, whatever the words.
FIXED = {
    tuple(two.split())
    for two in ("the N", "the A", "D N", "D A", "P the", "P D", "which the", "which D", "and the", "B A")
}

# Closed classes, used in every split: singular and plural forms.
CLOSED = {
    "P": [(w, w) for w in ("near", "behind", "beside", "above", "below", "by")],
    "B": [("is", "are"), ("was", "were"), ("seems", "seem"), ("looks", "look")],
    "S": [("itself", "themselves")],
    "D": [("this", "these"), ("that", "those"), ("one", "two"), ("every", "many")],
}

# Open classes. A stem is used in one split only.
STEMS = {
    "N": """
        dog cat horse cow goat pig duck hen swan crow eagle falcon hawk owl parrot pigeon robin raven gull stork crane
        heron otter beaver badger rabbit squirrel hamster rat toad frog lizard snake turtle tortoise crab lobster shark
        whale dolphin seal spider beetle ant hornet moth bee cricket worm snail slug lion tiger panther leopard bear
        panda camel zebra giraffe elephant monkey mule kitten lamb tern sparrow penguin kiwi gorilla lemur koala wombat
        kangaroo cobra viper python gecko newt salamander eel
    """,
    "V": """
        help follow kick push pull greet visit watch attack alarm guard protect defend clean wash warn trust respect
        reward inspect distract scratch calm comfort harm hinder frighten threaten join avoid detect pester doubt
        suspect entertain accept assist disturb treat insult
    """,
    "A": """
        old new small tall quick slow young quiet loud clever tired proud strong weak hungry happy sad gentle wild brave
        shy cruel smart fierce tame dark pale brown grey bold
    """,
}
OPEN = {kind: text.split() for kind, text in STEMS.items()}
ENDINGS = {"N": ("", "##s"), "V": ("##ed", "##ed"), "A": ("", "")}  # singular, plural

VOCABULARY = [
    *("[PAD]", "[CLS]", "[SEP]", "##s", "##ed", "the", "which", "and"),
    *dict.fromkeys(form for forms in CLOSED.values() for both in forms for form in both),
    *(stem for stems in OPEN.values() for stem in stems),
]


class Pair(NamedTuple):
    """Two rows of pieces with equal bags; the first is acceptable, the second is not."""

    phenomenon: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


class Word(NamedTuple):
    kind: str  # its class, or the word itself
    noun: int  # the noun that it agrees with or is: 1 or 2; 0 is always singular
    forms: tuple[tuple[str, ...], ...]  # pieces in the singular and in the plural

    def pieces(self, plural: int) -> tuple[str, ...]:
        """Pieces of the word if noun `plural` is the plural one."""
        return self.forms[self.noun == plural]


def stems(split: str) -> dict[str, list[str]]:
    """Open classes of a split: of every five stems in a row, train has three, control one and test one."""
    share = {"train": (0, 1, 2), "control": (3,), "test": (4,)}[split]
    return {kind: [s for i, s in enumerate(all_) if i % 5 in share] for kind, all_ in OPEN.items()}


def pairs(split: str, each: int, seed: int) -> Iterator[Pair]:
    """`each` distinct pairs of every phenomenon, from the stems of the split."""
    draw, open_stems = Draw(seed), stems(split)
    for phenomenon in PHENOMENA:
        earlier: set[Pair] = set()
        while len(earlier) < each:
            pair = _pair(phenomenon, draw, open_stems)
            if pair not in earlier:
                earlier.add(pair)
                yield pair


def _pair(phenomenon: str, draw: Draw, known: dict[str, list[str]]) -> Pair:
    frames = FRAMES.get(phenomenon) or [f for some in FRAMES.values() for f in some]
    words = _words(frames[_index(draw, len(frames))], draw, known)
    plural = 1 + _index(draw, 2)
    good = [word.pieces(plural) for word in words]
    if phenomenon == "order":
        places = [i for i, two in enumerate(pairwise(words)) if (two[0].kind, two[1].kind) in FIXED]
        i = places[_index(draw, len(places))]
        bad = [*good[:i], good[i + 1], good[i], *good[i + 2 :]]
    else:
        bad = [word.pieces(3 - plural if word.kind == "N" else plural) for word in words]
    return Pair(phenomenon, _joined(good), _joined(bad))


def _words(frame: str, draw: Draw, known: dict[str, list[str]]) -> list[Word]:
    """A word for each slot; no stem occurs twice."""
    remaining = {kind: list(some) for kind, some in known.items()}
    words = []
    for slot in frame.split():
        kind, noun = (slot[0], int(slot[1:])) if slot[1:].isdigit() else (slot, 0)
        if kind == "?":
            if _index(draw, 2):
                continue
            kind = "A"
        if kind in OPEN:
            stem = remaining[kind].pop(_index(draw, len(remaining[kind])))
            forms = tuple(tuple(filter(None, (stem, ending))) for ending in ENDINGS[kind])
        elif kind in CLOSED:
            forms = tuple((form,) for form in CLOSED[kind][_index(draw, len(CLOSED[kind]))])
        else:
            forms = ((kind,), (kind,))
        words.append(Word(kind, noun, forms))
    return words


def _index(draw: Draw, n: int) -> int:
    return int(draw.integers(0, n))


def _joined(words: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(piece for word in words for piece in word)
