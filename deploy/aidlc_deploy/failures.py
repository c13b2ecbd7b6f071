"""Names a failure by the words that AWS or a log had for it, and ends a command with it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from .preflight.catalogue import Failure, load_catalogue

# Who said the words, as `seen` in deploy/failures.toml has it.
BY_AWS = ("P", "A")
BY_THE_TASK = ("R",)

catalogue = lru_cache(load_catalogue)


class Stopped(Exception):
    """A command that cannot go on: why, and what to do next, in English and Korean.

    What AWS or a program said is not translated: a message that is nothing else stands for both languages.
    `code` names the failure where it is known; else it is looked for in what was `said`.
    """

    def __init__(
        self,
        english: str,
        korean: str | None = None,
        code: str | None = None,
        said: Iterable[str] = (),
        by: tuple[str, ...] = BY_AWS,
    ) -> None:
        super().__init__(english)
        self.told = {"en": english, "ko": korean or english}
        self.failure = catalogue()[code] if code else recognised("\n".join(said), by)


def recognised(text: str, by: tuple[str, ...]) -> Failure | None:
    """The failure whose words stand in the text; of several the one that says most."""
    said = [row for row in catalogue().values() if row.longest_in(text) and set(row.seen) & set(by)]
    return max(said, key=lambda row: row.longest_in(text), default=None)
