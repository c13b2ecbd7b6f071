"""A project of its own, an account of its own, and the command run against them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aidlc_deploy.cli import main
from fake.account import CANARY, Account
from fake.programs import PROGRAMS, run

HERE = Path(__file__).parent
# Enough for everything that ends, and soon over for what does not.
PATIENCE = ["--poll", "0", "--wait", "0.05"]
TAIL = ["--output", "json", "--region", "us-east-1"]


class Killed(BaseException):
    """The command was killed: nothing in it may catch this."""


@dataclass
class Ended:
    status: int
    out: str
    err: str


@dataclass
class World:
    """One test's world."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture
    account: Account = field(default_factory=Account)
    # The command is killed at the call of this number: before it takes effect, or after.
    kill_at: int | None = None
    kill_after: bool = False
    calls_made: int = 0

    def __post_init__(self) -> None:
        self.root = self.folder / "deploy"
        shutil.copytree(HERE / "project", self.root)
        self.real_run = subprocess.run
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr(subprocess, "run", self.program)
        self.monkeypatch.setattr(shutil, "which", lambda name: name if name in ("buildah", "curl") else None)

    def run(self, *words: str, env: str = "staging") -> Ended:
        """Runs `aidlc-deploy` with these words, in this process."""
        rest = [words[0], "--env", env, *PATIENCE, *words[1:]]
        status = main(rest, self.root)
        told = self.capsys.readouterr()
        for text in (told.out, told.err, *map(shlex.join, self.account.calls)):
            assert CANARY not in text, "a secret was shown"
        return Ended(status, told.out, told.err)

    def up(self, tag: str = "t1", *words: str, env: str = "staging") -> Ended:
        # The preflight is checked by tests of its own.
        return self.run("up", "--image-tag", tag, "--from", "network", *words, env=env)

    def program(self, command: list[str], **given) -> subprocess.CompletedProcess:
        """Takes the place of `subprocess.run`."""
        name = command[0].rsplit("/", 1)[-1]
        if name not in PROGRAMS:
            return self.real_run(command, **given)
        at = self.calls_made
        self.calls_made += 1
        if at == self.kill_at and not self.kill_after:
            raise Killed
        done = run(self.account, command, given.get("input"))
        if at == self.kill_at:
            raise Killed
        return done

    def calls(self) -> list[str]:
        """Every call made since the last look, ready to be compared: what differs from run to run is masked."""
        calls, self.account.calls = self.account.calls, []
        return [self.told(call) for call in calls]

    def told(self, call: list[str]) -> str:
        if call[0] == "aws":
            assert call[-4:] == TAIL
            call = call[:-4]
        line = shlex.join(call).replace(f"{self.root}/", "deploy/")
        line = re.sub(r"aidlc-deploy-rollback-\d+", "aidlc-deploy-rollback-SECONDS", line)
        line = re.sub(r"--start-time \d+", "--start-time MILLISECONDS", line)
        return re.sub(r"(aidlc-deploy-)[0-9a-f]{12}", r"\1RANDOM", line)

    def statuses(self) -> dict[str, str]:
        return {stack.name: stack.status for stack in self.account.cloudformation.stacks.values()}

    def state(self) -> dict:
        """What there is in the end, however it came about."""
        return {
            "stacks": {
                stack.name: (stack.status.replace("CREATE", "UPDATE"), stack.parameters, stack.outputs)
                for stack in self.account.cloudformation.stacks.values()
            },
            "service": self.account.ecs.service and self.account.ecs.service["steered"],
            "images": self.account.images,
            "definitions": [definition["image"] for definition in self.account.ecs.definitions],
        }

    def migrations(self) -> int:
        return sum(task.command == ["migrate"] for task in self.account.ecs.tasks)

    def set_parameter(self, name: str, value: str, env: str = "staging") -> None:
        file = self.root / "params" / f"{env}.json"
        document = json.loads(file.read_text("utf-8"))
        document["parameters"][name] = value
        file.write_text(json.dumps(document), "utf-8")


def writing(calls: list[str]) -> list[str]:
    """The calls that change something in the account or outside of it."""
    from aidlc_deploy.aws import is_reading

    def writes(call: str) -> bool:
        program, *rest = shlex.split(call)
        return program != "curl" and not (program == "aws" and is_reading(rest[1]))

    return [call for call in calls if writes(call)]
