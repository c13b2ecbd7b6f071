"""The rendered templates of one environment as one thing: resources across stacks, and what refers to what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..contract import GIVEN
from ..templates import Parameters, Template

ACCOUNT = "123456789012"
HOLE = re.compile(r"\$\{([^}!][^}]*)\}")
# What `Ref` says already, so that either way of writing is the same thing.
SAME_AS_REF = {"Arn", "Id", "GroupId", "VpcId", "TaskDefinitionArn", "LoadBalancerArn", "TargetGroupArn"}


@dataclass(frozen=True)
class Resource:
    """One resource, and the stack that it is in."""

    template: Template
    name: str
    body: dict[str, Any] = field(repr=False, compare=False)

    @property
    def properties(self) -> dict[str, Any]:
        return self.body.get("Properties") or {}

    @property
    def depends_on(self) -> list[str]:
        named = self.body.get("DependsOn") or []
        return [named] if isinstance(named, str) else named

    @property
    def place(self) -> str:
        """Where to look, for evidence: `7-service.yaml, Service`."""
        return f"{self.template.file}, {self.name}"

    @property
    def reference(self) -> str:
        """How `Plan.text` writes a reference to this resource."""
        return f"{{{self.template.name}.{self.name}}}"


class Plan:
    """The stacks of one environment, in the order of deployment."""

    def __init__(self, templates: Iterable[Template], parameters: Parameters, environment: str, image: Path) -> None:
        self.environment = environment
        self.region = parameters.region
        self.account = ACCOUNT
        self.parameters = parameters
        # The folder of what the image is made of; it is there once one was built.
        self.image = image
        # As written, for rules about what a parameter file cannot change.
        self.written = list(templates)
        self.templates = [
            template.rendered(
                parameters.for_template(template, environment, **GIVEN),
                region=parameters.region,
                account=ACCOUNT,
            )
            for template in self.written
        ]

    def all(self, kind: str) -> list[Resource]:
        """Every resource of a type."""
        return [
            Resource(template, name, body)
            for template in self.templates
            for name, body in template.of_type(kind).items()
        ]

    def resource(self, reference: str) -> Resource | None:
        """The resource that a text such as `{database.Db.Endpoint.Port}` refers to."""
        named = re.match(r"\{([a-z0-9-]+)\.(\w+)", reference)
        for template in self.templates:
            if named and template.name == named[1] and named[2] in template.resources:
                return Resource(template, named[2], template.resources[named[2]])
        return None

    def text(self, value: Any, template: Template) -> str:
        """A value as text, where each reference, imported ones too, is `{stack.Resource}` or `{stack.Resource.Attribute}`."""
        if isinstance(value, list):
            return ",".join(self.text(item, template) for item in value)
        if not isinstance(value, dict) or len(value) != 1:
            return str(value)
        ((function, argument),) = value.items()
        if function == "Ref":
            return self.reference(template, argument)
        if function == "Fn::GetAtt":
            parts = argument if isinstance(argument, list) else argument.split(".", 1)
            return self.reference(template, *parts)
        if function == "Fn::Sub":
            return self.substituted(argument, template)
        if function == "Fn::Join":
            return argument[0].join(self.text(part, template) for part in argument[1])
        if function == "Fn::Split":
            # As one text: whoever looks for one of several finds it in there.
            return self.text(argument[1], template)
        if function == "Fn::ImportValue":
            return self.imported(argument, template)
        return str(value)

    def texts(self, value: Any, template: Template) -> list[str]:
        """A value that may be one thing or a list of them."""
        items = value if isinstance(value, list) else [value]
        return [self.text(item, template) for item in items if item is not None]

    def reference(self, template: Template, name: str, attribute: str = "") -> str:
        if not attribute or attribute in SAME_AS_REF:
            return f"{{{template.name}.{name}}}"
        return f"{{{template.name}.{name}.{attribute}}}"

    def substituted(self, argument: Any, template: Template) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument

        def put_in(hole: re.Match[str]) -> str:
            if hole[1] in own:
                return self.text(own[hole[1]], template)
            return self.reference(template, *hole[1].split(".", 1))

        return HOLE.sub(put_in, text)

    def imported(self, argument: Any, template: Template) -> str:
        name = self.text(argument, template)
        if name not in self.exported:
            return f"{{import {name}}}"
        exporter, value = self.exported[name]
        return self.text(value, exporter)

    @cached_property
    def exported(self) -> dict[str, tuple[Template, Any]]:
        """Which template exports a name, and what."""
        return {
            self.text(output["Export"]["Name"], template): (template, output["Value"])
            for template in self.templates
            for output in template.outputs.values()
            if output.get("Export")
        }

    def containers(self) -> Iterator[Container]:
        """Every container of every task definition."""
        for task in self.all("AWS::ECS::TaskDefinition"):
            for definition in task.properties.get("ContainerDefinitions") or []:
                yield Container(self, task, definition)

    def containers_of(self, service: Resource) -> list[Container]:
        """The containers that a service puts behind a load balancer."""
        named = {
            self.text(it.get("ContainerName"), service.template) for it in service.properties.get("LoadBalancers") or []
        }
        return [container for container in self.containers() if container.name in named]

    def security_groups_of(self, service: Resource) -> list[Resource]:
        """The security groups of a service's tasks."""
        network = (service.properties.get("NetworkConfiguration") or {}).get("AwsvpcConfiguration") or {}
        return self.group(self.texts(network.get("SecurityGroups"), service.template))

    def group(self, references: Iterable[str]) -> list[Resource]:
        """The resources behind texts that refer to them; what leads out of the templates is left out."""
        return [found for found in map(self.resource, references) if found]


@dataclass(frozen=True)
class Container:
    """One container of a task definition."""

    plan: Plan
    task: Resource
    definition: dict[str, Any]

    @property
    def name(self) -> str:
        return self.plan.text(self.definition.get("Name"), self.task.template)

    @property
    def place(self) -> str:
        return f"{self.task.place}, container {self.name}"

    @property
    def ports(self) -> list[str]:
        return [str(mapping.get("ContainerPort")) for mapping in self.definition.get("PortMappings") or []]

    @cached_property
    def environment(self) -> dict[str, str]:
        """The plain variables, as text."""
        return {
            entry["Name"]: self.plan.text(entry.get("Value", ""), self.task.template)
            for entry in self.definition.get("Environment") or []
        }

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Where each secret variable comes from, as text."""
        return {
            entry["Name"]: self.plan.text(entry.get("ValueFrom", ""), self.task.template)
            for entry in self.definition.get("Secrets") or []
        }

    def number(self, variable: str, default: int) -> int:
        """A setting that is a number, as the service would read it; `default` is the service's own."""
        text = self.environment.get(variable, "")
        return int(text) if text.isdigit() else default
