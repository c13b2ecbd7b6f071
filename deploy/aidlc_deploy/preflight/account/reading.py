"""The account as we may read it: what is not there is None, what may not be read is told."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from ...aws import Aws, AwsError
from ...names import Names
from ..finding import Finding, warning
from ..plan import Plan

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError")
# How each API says that something is not there.
ABSENT = re.compile(r"(NotFound|NotFoundException|NotFoundFault|NoSuchEntity)$")
PERMISSION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")


class Account(Names):
    """One environment's part of an account."""

    def __init__(self, aws: Aws, plan: Plan) -> None:
        self.aws = aws
        self.plan = plan
        self.environment = plan.environment
        self.unreadable: list[Finding] = []
        self.answers: dict[tuple[str, ...], dict[str, Any] | None] = {}
        self.absent: set[tuple[str, ...]] = set()

    def read(self, service: str, operation: str, *args: str) -> dict[str, Any] | None:
        """One reading call, made once; None if there is no such thing, or it may not be read."""
        call = (service, operation, *args)
        if call not in self.answers:
            self.answers[call] = self.answer(*call)
        return self.answers[call]

    def answer(self, service: str, operation: str, *args: str) -> dict[str, Any] | None:
        try:
            return self.aws.call(service, operation, *args)
        except AwsError as error:
            if ABSENT.search(error.code):
                self.absent.add((service, operation, *args))
                return None
            if error.code in DENIED:
                named = PERMISSION.search(error.message)
                why = f"{named[1] if named else permission(service, operation)} is not allowed"
            else:
                why = f"{service} {operation}: {error.message} ({error.code})"
            self.unreadable.append(warning("account_not_readable", why))
            return None

    def is_absent(self, service: str, operation: str, *args: str) -> bool:
        """Whether AWS says that there is no such thing; False if it may not be asked."""
        self.read(service, operation, *args)
        return (service, operation, *args) in self.absent

    def listed(self, field: str, service: str, operation: str, *args: str) -> list[Any]:
        """The list in an answer, empty if there is none."""
        return (self.read(service, operation, *args) or {}).get(field) or []

    @cached_property
    def stacks(self) -> dict[str, dict[str, Any]]:
        """Our stacks that there are, by the name of their template, in the order of deployment."""
        found = {stack["StackName"]: stack for stack in self.listed("Stacks", "cloudformation", "describe-stacks")}
        names = {template.name: template.stack_name(self.environment) for template in self.plan.templates}
        return {template: found[name] for template, name in names.items() if name in found}

    def physical(self, reference: str) -> str | None:
        """What a resource of the templates, `{database.Database}`, is called in the account; None if it is not there."""
        resource = self.plan.resource(reference)
        if not resource or resource.template.name not in self.stacks:
            return None
        stack = resource.template.stack_name(self.environment)
        for found in self.listed("StackResources", "cloudformation", "describe-stack-resources", "--stack-name", stack):
            if found["LogicalResourceId"] == resource.name:
                return found.get("PhysicalResourceId") or None
        return None

    def given(self, stack: str, parameter: str) -> str:
        """A parameter's value at the last deployment of a stack, "" if there is none."""
        values = (self.stacks.get(stack) or {}).get("Parameters") or []
        return next((it.get("ParameterValue", "") for it in values if it["ParameterKey"] == parameter), "")

    @cached_property
    def running(self) -> dict[str, Any] | None:
        """The ECS service, None if there is none."""
        arguments = ("--cluster", self.cluster, "--services", self.service)
        services = self.listed("services", "ecs", "describe-services", *arguments) if "service" in self.stacks else []
        return next((it for it in services if it.get("status") == "ACTIVE"), None)

    @property
    def primary(self) -> dict[str, Any]:
        """The deployment that the service is at or goes to."""
        deployments = (self.running or {}).get("deployments") or []
        return next((it for it in deployments if it.get("status") == "PRIMARY"), {})

    @cached_property
    def task_definition(self) -> dict[str, Any] | None:
        """The task definition that was registered last, None before the first."""
        outputs = (self.stacks.get("service") or {}).get("Outputs") or []
        arn = next((it["OutputValue"] for it in outputs if it["OutputKey"] == "TaskDefinitionArn"), None)
        arn = arn or self.primary.get("taskDefinition")
        answer = arn and self.read("ecs", "describe-task-definition", "--task-definition", arn)
        return answer["taskDefinition"] if answer else None


def permission(service: str, operation: str) -> str:
    """The action that a call needs, where the answer does not name it."""
    words = "".join(word.capitalize() for word in operation.split("-"))
    return f"{'ses' if service == 'sesv2' else service}:{words}"
