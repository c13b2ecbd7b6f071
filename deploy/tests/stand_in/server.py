"""Starts the stand-in, in this process or beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
START_SECS_MAX = 60
TESTS = Path(__file__).parents[1]


def serve(port: int) -> None:
    """Serves until the process is ended."""
    # Not at the top: whoever only wants `running` need not load moto.
    from moto.server import main

    from . import corrections, references, resources, stacks

    resources.define_all(f"http://{HOST}:{port}")
    references.install(f"http://{HOST}:{port}")
    corrections.install()
    stacks.install()
    main(["-H", HOST, "-p", str(port)])


@contextmanager
def running(log: Path) -> Iterator[dict[str, str]]:
    """A fresh stand-in in a process of its own; yields the environment by which the aws CLI finds it."""
    port = _free_port()
    paths = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "stand_in", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": ":".join(filter(None, paths))},
        )
        try:
            _wait_until_ready(port, server, log)
            yield {
                "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
                "AWS_ACCESS_KEY_ID": "stand-in",
                "AWS_SECRET_ACCESS_KEY": "stand-in",
                # Nobody's own settings must reach into a test, nor a test out of this machine.
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        finally:
            server.terminate()
            server.wait(10)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return taken.getsockname()[1]


def _wait_until_ready(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECS_MAX
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}/moto-api/", timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the stand-in did not start:\n{log.read_text()}")
