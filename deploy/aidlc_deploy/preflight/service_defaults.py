"""What the service does where a setting is not given: its own reference, config.default.toml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .catalogue import tomllib

FILE = Path(__file__).parents[3] / "config.default.toml"


def default(setting: str) -> int | str:
    """The default of a setting by its name in the environment (`DATABASE_POOL_SIZE`)."""
    return defaults()[setting.lower()]


@cache
def defaults() -> dict[str, int | str]:
    # What is commented out has no fixed default; the example is what staging and production have.
    lines = FILE.read_text("utf-8").splitlines()
    return tomllib.loads("\n".join(line.removeprefix("#") if " = " in line else "" for line in lines))
