"""Waits that end: every one is bounded, shows that it goes on, and can be taken up again by the same command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .aws import AwsError
from .failures import Stopped

Found = TypeVar("Found")


@dataclass(frozen=True)
class Patience:
    """How often to look, and for how long."""

    poll_secs: float
    limit_secs: float

    def until(self, what: str, look: Callable[[], Found | None]) -> Found:
        """What `look` finds, as soon as it finds something. What is refused for a moment is asked again."""
        end = time.monotonic() + self.limit_secs
        refused: set[str] = set()
        while True:
            found = looked(what, look, refused)
            if found is not None:
                return found
            if time.monotonic() >= end:
                raise Stopped(
                    f"{what}: not within {self.limit_secs / 60:g} minutes. AWS goes on by itself: "
                    "look with `status`, and run the same command again to go on waiting (--wait MINUTES waits longer).",
                    f"{what}: {self.limit_secs / 60:g}분 안에 끝나지 않았습니다. AWS의 작업은 계속됩니다. `status`로 확인하고, "
                    "같은 명령을 다시 실행하면 이어서 기다립니다(더 오래 기다리려면 --wait MINUTES).",
                )
            time.sleep(self.poll_secs)

    def at_most(self, limit_secs: float) -> Patience:
        """The same, but not longer than this."""
        return Patience(self.poll_secs, min(self.limit_secs, limit_secs))


def looked(what: str, look: Callable[[], Found | None], refused: set[str]) -> Found | None:
    """One look. What is refused for a moment finds nothing, and is said once."""
    try:
        return look()
    except AwsError as error:
        if not error.is_transient:
            raise
        if error.message not in refused:
            refused.add(error.message)
            print(f"{what}: is asked again: {error.message}", file=sys.stderr, flush=True)
        return None
