"""What a role may do, as far as the templates say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .plan import Plan, Resource


def role_of(plan: Plan, task: Resource, which: str) -> Role | None:
    """The role that a task definition names as `ExecutionRoleArn` or `TaskRoleArn`."""
    found = plan.resource(plan.text(task.properties.get(which), task.template))
    return Role(plan, found) if found else None


@dataclass(frozen=True)
class Role:
    """A role of the templates."""

    plan: Plan
    resource: Resource

    @property
    def place(self) -> str:
        return self.resource.place

    def allows(self, action: str, targets: Iterable[str] = ("*",)) -> bool:
        """Whether one statement allows the action on one of the ways in which the target may be written."""
        targets = list(targets)
        return any(
            statement["Effect"] == "Allow"
            and any(fnmatchcase(action, allowed) for allowed in listed(statement["Action"]))
            and any(
                fnmatchcase(target, allowed)
                for allowed in self.plan.texts(statement["Resource"], self.resource.template)
                for target in targets
            )
            for statement in self.statements()
        )

    def statements(self) -> Iterator[dict[str, Any]]:
        """Those inside the role, and those of policies beside it."""
        documents = [policy["PolicyDocument"] for policy in self.resource.properties.get("Policies") or []]
        documents += [
            policy.properties["PolicyDocument"]
            for policy in self.plan.all("AWS::IAM::RolePolicy")
            if self.plan.text(policy.properties["RoleName"], policy.template) == self.resource.reference
        ]
        for document in documents:
            yield from listed(document["Statement"])


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
