"""Where the modules under test are."""

import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(DEPLOY), str(DEPLOY / "tests")]
