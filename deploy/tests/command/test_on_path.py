"""The command as operators start it: a process of its own, with the programs that it finds on the PATH."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fake.account import CANARY, Account
from world import HERE

DEPLOY = HERE.parents[1]
# Processes are slow where many run.
PATIENCE = ["--poll", "0", "--wait", "5"]


@dataclass
class Machine:
    """A folder with the command, a project, and a PATH with nothing but what is put there."""

    folder: Path

    def __post_init__(self) -> None:
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        self.kept = self.folder / "account"
        self.keep(Account())
        shutil.copytree(HERE / "project", self.folder / "deploy")
        (self.folder / "deploy" / "image").mkdir()
        for name in ("aidlc-deploy", "failures.toml"):
            shutil.copy(DEPLOY / name, self.folder / "deploy")
        shutil.copytree(DEPLOY / "aidlc_deploy", self.folder / "deploy" / "aidlc_deploy")
        for program in ("aws", "buildah", "curl"):
            self.put(self.bin / program)
        self.put(self.folder / "deploy" / "image" / "build")

    def put(self, place: Path) -> None:
        here = [str(HERE), str(DEPLOY)]
        lines = [f"#!{sys.executable}", "import sys", "sys.dont_write_bytecode = True", f"sys.path[:0] = {here}"]
        lines += ["from fake.on_path import main", f"sys.exit(main({place.name!r}))"]
        place.write_text("\n".join(lines), "utf-8")
        place.chmod(0o755)

    def keep(self, account: Account) -> None:
        self.kept.write_bytes(pickle.dumps(account))

    def account(self) -> Account:
        return pickle.loads(self.kept.read_bytes())

    def start(self, *words: str, python: tuple[str, ...] = (), **more: str) -> subprocess.Popen:
        command = [sys.executable, *python, "deploy/aidlc-deploy", words[0], "--env", "staging", *words[1:]]
        environment = {"PATH": str(self.bin), "FAKE_ACCOUNT": str(self.kept), "PYTHONUTF8": "1", **more}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, **more) -> tuple[int, str, str]:
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


UP = ["up", "--image-tag", "t1", "--from", "network", *PATIENCE]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def test_up_killed_for_good_goes_on_and_ends(machine: Machine) -> None:
    for line in ("security-groups: is created", "image t1: is pushed", "migrate: runs as a task"):
        process = machine.start(*UP, PYTHONUNBUFFERED="1")
        for said in process.stdout:
            if line in said:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    status, out, err = machine.run(*UP)
    assert status == 0, err
    assert out.endswith("staging is up\n")
    assert len(machine.account().cloudformation.stacks) == 8
    assert CANARY not in out + err


def test_what_is_not_installed_is_named_in_one_line(machine: Machine, world) -> None:
    world.up()
    machine.keep(world.account)
    (machine.bin / "curl").unlink()
    (machine.bin / "buildah").unlink()
    said = {
        "curl": machine.run("check", *PATIENCE),
        "builder": machine.run("up", "--image-tag", "t2", "--from", "image", *PATIENCE),
    }
    (machine.bin / "aws").unlink()
    said["aws"] = machine.run("status")
    said["PyYAML"] = machine.run("status", python=("-S", "-E"))
    assert {name: (status, one_line(err)) for name, (status, _, err) in said.items()} == {
        "curl": (1, "aidlc-deploy: the post-deploy check needs curl: install it, then run `check`"),
        "builder": (1, "aidlc-deploy: no image builder is installed: install buildah, docker or podman"),
        "aws": (
            2,
            "aidlc-deploy: the aws command is not installed: "
            "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html (AwsMissing)",
        ),
        "PyYAML": (
            2,
            "aidlc-deploy reads the templates with PyYAML: apt-get install python3-yaml, or pip install PyYAML",
        ),
    }


def one_line(err: str) -> str:
    """What was said, without the line that says where."""
    return next(line for line in err.splitlines() if "in account" not in line)


def test_a_wrong_command_line_is_told_apart(machine: Machine) -> None:
    assert machine.run("up", "--nonsense")[0] == 2
    assert machine.run("nonsense")[0] == 2


def test_it_leaves_nothing_behind_in_the_tree(machine: Machine) -> None:
    machine.run("logs", "--patterns")
    assert not list((machine.folder / "deploy").rglob("__pycache__"))


def test_a_terminal_that_cannot_show_it_ends_nothing(machine: Machine) -> None:
    process = machine.start("logs", "--patterns", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "\\U0001f4e7" in out


def test_its_language_is_that_of_python_3_9() -> None:
    files = [DEPLOY / "aidlc-deploy", *(DEPLOY / "aidlc_deploy").rglob("*.py")]
    assert len(files) > 15
    for file in files:
        ast.parse(file.read_text("utf-8"), str(file), feature_version=(3, 9))
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 9))
