"""What can go wrong, as `deploy/failures.toml` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.9 and 3.10
    try:
        import tomli as tomllib
    except ModuleNotFoundError:
        raise SystemExit("aidlc-deploy: before Python 3.11 it reads TOML with tomli: pip install tomli") from None

FILE = Path(__file__).parents[2] / "failures.toml"
LANGUAGES = ("en", "ko")


@dataclass(frozen=True)
class Failure:
    """One thing that can go wrong: what it is, and what to type or change."""

    code: str
    number: int | None
    seen: tuple[str, ...]
    pattern: str
    also: tuple[str, ...]
    what: Mapping[str, str]
    remedy: Mapping[str, str]

    def longest_in(self, text: str) -> int:
        """How many letters of its words stand in a text; of several failures the one that says most is meant."""
        return max((len(words) for words in (self.pattern, *self.also) if words in text), default=0)


def load_catalogue(path: Path = FILE) -> dict[str, Failure]:
    """Every failure by its code, in the order of the file."""
    rows = tomllib.loads(path.read_text("utf-8"))
    return {code: failure(code, row) for code, row in rows.items()}


def failure(code: str, row: Mapping) -> Failure:
    return Failure(
        code=code,
        number=row.get("number"),
        seen=tuple(row["seen"]),
        pattern=row["pattern"],
        also=tuple(row.get("also", ())),
        what={language: row[language]["what"] for language in LANGUAGES},
        remedy={language: row[language]["remedy"] for language in LANGUAGES},
    )
