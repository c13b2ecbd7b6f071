"""The failures that we can name, from deploy/failures.toml: what happened and what to do, in English and Korean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.9 and 3.10
    try:
        import tomli as tomllib
    except ModuleNotFoundError:
        raise SystemExit("aidlc-deploy: before Python 3.11 it reads TOML with tomli: pip install tomli") from None

FILE = Path(__file__).parents[1] / "failures.toml"
LANGUAGES = ("en", "ko")

# Who said the words, as `seen` in the file has it.
BY_AWS = ("P", "A")
BY_THE_TASK = ("R",)


@dataclass(frozen=True)
class Failure:
    """One row of the list."""

    code: str
    number: int | None
    seen: tuple[str, ...]
    pattern: str
    what: Mapping[str, str]
    remedy: Mapping[str, str]


class Stopped(Exception):
    """A command that cannot go on; the message says why and what to do next.

    `code` names the failure where it is known; else it is looked for in what was `said`.
    """

    def __init__(
        self, message: str, code: str | None = None, said: Iterable[str] = (), by: tuple[str, ...] = BY_AWS
    ) -> None:
        super().__init__(message)
        self.failure = load()[code] if code else recognised("\n".join(said), by)


@lru_cache
def load(file: Path = FILE) -> dict[str, Failure]:
    """Every failure by its code, in the order of the file."""
    rows = tomllib.loads(file.read_text("utf-8"))
    return {code: understood(code, row) for code, row in rows.items()}


def recognised(text: str, by: tuple[str, ...]) -> Failure | None:
    """The failure whose words stand in the text; of several the one that says most."""
    said = [row for row in load().values() if row.pattern in text and set(row.seen) & set(by)]
    return max(said, key=lambda row: len(row.pattern), default=None)


def understood(code: str, row: Mapping) -> Failure:
    return Failure(
        code=code,
        number=row.get("number"),
        seen=tuple(row["seen"]),
        pattern=row["pattern"],
        what={language: row[language]["what"] for language in LANGUAGES},
        remedy={language: row[language]["remedy"] for language in LANGUAGES},
    )
