"""Waits that end: every one is bounded, shows that it goes on, and can be taken up again by the same command."""

from __future__ import annotations

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
        while True:
            found = self.looked(look)
            if found is not None:
                return found
            if time.monotonic() >= end:
                raise Stopped(
                    f"{what}: not within {self.limit_secs / 60:g} minutes. AWS goes on by itself: "
                    "look with `status`, and run the same command again to go on waiting (--wait MINUTES waits longer)."
                )
            time.sleep(self.poll_secs)

    def at_most(self, limit_secs: float) -> Patience:
        """The same, but not longer than this."""
        return Patience(self.poll_secs, min(self.limit_secs, limit_secs))

    @staticmethod
    def looked(look: Callable[[], Found | None]) -> Found | None:
        try:
            return look()
        except AwsError as error:
            if error.is_transient:
                return None
            raise
