"""Runs preflight on copies of the real templates, and on accounts that answer from files."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aidlc_deploy import preflight
from aidlc_deploy.aws import Aws, AwsError, understand
from aidlc_deploy.preflight.catalogue import load_catalogue, tomllib
from aidlc_deploy.templates import Template, load_parameters, load_template

DEPLOY = Path(__file__).parents[2]
ANSWERS = Path(__file__).parent / "answers"
CATALOGUE = load_catalogue()
FAULTS = tomllib.loads((Path(__file__).parent / "faults.toml").read_text("utf-8"))["fault"]
# Stands as a password in a planted fault and in the recorded account. Every look is a look for it, too.
CANARY = "canary-p4ssw0rd"


@dataclass
class RecordedAws(Aws):
    """An account that answers from files: what a call is not found in is a fault of the test."""

    region: str = "us-east-1"
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def text(self, service: str, operation: str, *args: str) -> str:
        words = (service, operation, *args)
        self.calls.append(words)
        # The recorded call that says most of this one: "cloudformation describe-stack-resources production-…-iam".
        matching = [call for call in self.answers if set(call.split()) <= set(words)]
        assert matching, f"no answer is recorded for: {' '.join(words)}"
        answer = self.answers[max(matching, key=lambda call: len(call.split()))]
        if isinstance(answer, str):
            # What the command writes to its standard error.
            raise AwsError(*understand(answer), " ".join(words))
        return json.dumps(answer)


@dataclass
class Told:
    """What preflight printed, and its exit status."""

    status: int
    rows: list[dict[str, Any]]
    texts: dict[str, str]

    def wrong(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["status"] != "ok"]

    def names(self, code: str, evidence: str) -> None:
        """Asserts that this failure, and no other, is told: with evidence and remedy, in both languages."""
        assert {(row["code"], row["status"]) for row in self.wrong()} == {(code, "failed")}, self.wrong()
        assert any(evidence in row["evidence"] for row in self.wrong()), [row["evidence"] for row in self.wrong()]
        assert self.status == 1
        failure = CATALOGUE[code]
        for row in self.wrong():
            assert (row["number"], row["what"], row["remedy"]) == (failure.number, failure.what, failure.remedy)
        for language, text in self.texts.items():
            for part in (code, evidence, failure.what[language], failure.remedy[language]):
                assert unwrapped(part) in unwrapped(text)


class Once(dict):
    """Templates by name and text: to read YAML takes longest, and each test changes one file at most."""

    def __call__(self, name: str, text: str, path: Path) -> Template:
        if (name, text) not in self:
            self[name, text] = load_template(path)
        return self[name, text]


parsed = Once()


def unwrapped(text: str) -> str:
    return " ".join(text.split())


class Copy:
    """A copy of the real templates and parameter files, to plant faults in."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        shutil.copytree(DEPLOY / "cloudformation", folder / "cloudformation")
        shutil.copytree(DEPLOY / "params", folder / "params")

    def plant(self, file: str, old: str, new: str) -> None:
        """Replaces a text, which must be there: a fault planted nowhere would prove nothing."""
        path = next(self.folder.glob(f"*/{file}"))
        text = path.read_text("utf-8")
        assert old in text, f"{file} has no {old!r} any more"
        path.write_text(text.replace(old, new, 1), "utf-8")

    def look(self, environment: str, aws: Aws | None = None, **how: Any) -> Told:
        """Runs preflight, once for each way of telling."""
        parameters = load_parameters(self.folder / "params" / f"{environment}.json")
        paths = sorted((self.folder / "cloudformation").glob("*.yaml"))
        templates = [parsed(path.name, path.read_text("utf-8"), path) for path in paths]

        def run(**more: Any) -> tuple[int, str]:
            status = preflight.run(
                environment,
                aws or RecordedAws(),
                parameters,
                templates_only=aws is None,
                templates=templates,
                image=self.folder / "image",
                **how,
                **more,
            )
            printed = self.capsys.readouterr()
            assert CANARY not in printed.out + printed.err
            return status, printed.out

        status, out = run(json=True)
        return Told(status, json.loads(out), {language: run(language=language)[1] for language in ("en", "ko")})


def recorded(name: str) -> dict[str, Any]:
    """One file of answers."""
    return json.loads((ANSWERS / f"{name}.json").read_text("utf-8"))


def account(*names: str) -> RecordedAws:
    """A healthy account, and over it the answers of these files."""
    answers = dict(recorded("healthy")["answers"])
    for name in names:
        answers |= recorded(name)["answers"]
    return RecordedAws(answers=answers)
