"""What every test of preflight starts from."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from looking import Copy  # noqa: E402


@pytest.fixture
def deployment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Copy:
    """A copy of the real templates and parameter files, to plant faults in, and a way to look at it."""
    return Copy(tmp_path, capsys)
