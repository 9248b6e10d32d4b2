"""Errors of a user's code as one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from schedules.user_code import blamed


@contextmanager
def blamed_quietly(subject: str) -> Iterator[None]:
    """Turn any exception inside the block into one line, and drop warnings: few examples may leave a score undefined.

    Raises:
        InputError: in place of any other exception; its text begins with `subject`.
    """
    with warnings.catch_warnings(), blamed(subject):
        warnings.simplefilter("ignore")
        yield
