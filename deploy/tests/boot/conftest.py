"""The image, once; and AWS as the eight stacks describe it, once for all tests, which then run in order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import task
import vpc
from region import Region
from task import Image


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aidlc-auth-boot-") as name:
        path = Path(name)
        # PostgreSQL runs as its own user, and has to get to its data.
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def image(folder: Path) -> Image:
    """The image that `deploy/boot` built."""
    return Image.unpacked(os.environ["BOOT_IMAGE"], folder / "image")


@pytest.fixture(scope="session")
def region(folder: Path, image: Image) -> Iterator[Region]:
    vpc.enter()
    task.cleared()
    region = Region(folder, image)
    try:
        region.open()
        yield region
    finally:
        region.close()
        task.cleared()
