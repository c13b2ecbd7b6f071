"""Every test gets a world, and snapshots of whole call sequences: `UPDATE_SNAPSHOTS=1 pytest` writes them anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from world import World  # noqa: E402

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> World:
    return World(tmp_path, monkeypatch, capsys)


@pytest.fixture
def is_as_recorded() -> Callable[[str, list[str]], None]:
    """Compares lines with those of a file."""

    def compare(name: str, lines: list[str]) -> None:
        file = SNAPSHOTS / f"{name}.txt"
        text = "".join(f"{line}\n" for line in lines)
        if os.environ.get("UPDATE_SNAPSHOTS"):
            file.write_text(text, "utf-8")
        assert text == file.read_text("utf-8"), f"{name} differs; UPDATE_SNAPSHOTS=1 if that is meant"

    return compare
