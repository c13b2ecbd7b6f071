"""What a role may do, as far as the templates say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from .plan import Plan, Resource

# AWS's own policy for execution roles, by its documentation: it reads every repository, writes every log.
EXECUTION_POLICY = "service-role/AmazonECSTaskExecutionRolePolicy"
EXECUTION_ACTIONS = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
]


class Role:
    """A role of the templates."""

    def __init__(self, plan: Plan, resource: Resource) -> None:
        self.plan = plan
        self.resource = resource

    @property
    def place(self) -> str:
        return self.resource.place

    def allows(self, action: str, targets: Iterable[str] = ("*",)) -> bool:
        """Whether one statement allows the action on one of the ways in which the target may be written."""
        targets = list(targets)
        return any(
            statement.get("Effect") == "Allow"
            and any(fnmatchcase(action.lower(), allowed.lower()) for allowed in listed(statement.get("Action")))
            and any(
                fnmatchcase(target, literal(allowed))
                for allowed in self.plan.texts(statement.get("Resource"), self.resource.template)
                for target in targets
            )
            for statement in self.statements()
        )

    def statements(self) -> Iterator[dict[str, Any]]:
        properties = self.resource.properties
        if any(str(arn).endswith(EXECUTION_POLICY) for arn in properties.get("ManagedPolicyArns") or []):
            yield {"Effect": "Allow", "Action": EXECUTION_ACTIONS, "Resource": "*"}
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies") or []]
        for kind in ("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"):
            for policy in self.plan.all(kind):
                named = policy.properties.get("Roles") or [policy.properties.get("RoleName")]
                if self.resource.reference in self.plan.texts(named, policy.template):
                    documents.append(policy.properties["PolicyDocument"])
        for document in documents:
            yield from listed(document.get("Statement"))


def role_of(plan: Plan, task: Resource, which: str) -> Role | None:
    """The role that a task definition names as `ExecutionRoleArn` or `TaskRoleArn`."""
    found = plan.resource(plan.text(task.properties.get(which), task.template))
    return Role(plan, found) if found else None


def secret_targets(plan: Plan, reference: str) -> list[str]:
    """The ways in which a policy may name a secret: by reference, or by what its ARN will be."""
    targets = [reference]
    secret = plan.resource(reference)
    if secret and "MasterUserSecret" in reference:
        targets.append(secret_arn(plan, "rds!db-00000000"))
    elif secret and isinstance(secret.properties.get("Name"), str):
        targets.append(secret_arn(plan, secret.properties["Name"]))
    return targets


def secret_arn(plan: Plan, name: str) -> str:
    # Secrets Manager ends every ARN with six characters of its own.
    return f"arn:aws:secretsmanager:{plan.region}:{plan.account}:secret:{name}-AbCdEf"


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def literal(pattern: str) -> str:
    """A policy's wildcards are * and ?; brackets mean themselves."""
    return pattern.replace("[", "[[]")
