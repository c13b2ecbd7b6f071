"""One of the programs, as a process of its own: the account is kept in a file between two calls."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

from .programs import run


def main(program: str) -> int:
    kept = Path(os.environ["FAKE_ACCOUNT"])
    account = pickle.loads(kept.read_bytes())
    fed = None if sys.stdin.isatty() else sys.stdin.read()
    done = run(account, [program, *sys.argv[1:]], fed)
    kept.write_bytes(pickle.dumps(account))
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode
