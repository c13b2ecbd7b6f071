"""One environment's deployment: its templates, its parameters, and the way to its account."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from .aws import Aws
from .failures import Stopped
from .names import Names
from .patience import Patience
from .stacks import Stack
from .templates import Parameters, Template, by_name, load_parameters, load_templates

CONTAINER = "aidlc-auth"


@dataclass(frozen=True)
class Deployment(Names):
    """What every sub-command works on."""

    environment: str
    root: Path
    aws: Aws
    patience: Patience
    templates: list[Template]
    parameters: Parameters
    language: str
    assume_yes: bool

    @property
    def is_dry(self) -> bool:
        return self.aws.dry_run

    def template(self, name: str) -> Template:
        return by_name(self.templates, name)

    def stack(self, name: str) -> Stack:
        return self.stack_of(self.template(name))

    def stack_of(self, template: Template) -> Stack:
        return Stack(template.stack_name(self.environment), self.aws, self.patience, self.say)

    def stacks(self) -> list[Stack]:
        """Every stack, in the order of deployment."""
        return [self.stack_of(template) for template in self.templates]

    def say(self, line: str) -> None:
        """Shows progress. A dry run's output is a script: there it is a comment."""
        print(f"# {line}" if self.is_dry else line, flush=True)

    def confirm(self, english: str, korean: str) -> None:
        """Goes on only if the operator types the environment's name, or has said --yes."""
        if self.assume_yes or self.is_dry:
            return
        if not sys.stdin.isatty():
            raise Stopped(
                f"{english} Nobody is there to say so: run it in a terminal, or with --yes.",
                f"{korean} 확인할 사람이 없습니다. 터미널에서 실행하거나 --yes를 붙이십시오.",
            )
        question = {
            "en": f"{english} Type {self.environment} to go on: ",
            "ko": f"{korean} 계속하려면 {self.environment} 입력: ",
        }
        if input(question[self.language]).strip() != self.environment:
            raise Stopped("Nothing was changed.", "아무것도 바꾸지 않았습니다.")


def load(root: Path, environment: str) -> tuple[list[Template], Parameters]:
    """Templates and parameters of an environment, from the deploy folder."""
    return load_templates(root / "cloudformation"), load_parameters(root / "params" / f"{environment}.json")
