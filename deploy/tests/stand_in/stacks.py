"""CloudFormation's own behaviour: what a stack is, when it is refused, and what is taken back.

A template is rendered with its parameters before moto sees it. So a condition that a parameter turns adds
or removes its resources, which moto alone does not do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import moto.cloudformation.models as models
import yaml
from aidlc_deploy.contract import refused_values
from aidlc_deploy.templates import Template, parsed
from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError

UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


def install() -> None:
    """Puts `Account` in the place of moto's CloudFormation."""
    models.cloudformation_backends.backend = Account


class Account(models.CloudFormationBackend):
    """The stacks and exports of an account in a region."""

    __module__ = models.__name__  # moto finds the service's addresses by this

    def create_stack(self, name: str, template: str, parameters: dict[str, Any], **_: Any) -> models.Stack:
        if any(stack.name == name for stack in self.stacks.values()):
            raise AlreadyExistsException(f"Stack [{name}] already exists")
        _refuse(template, parameters)
        identifier = models.generate_stack_id(name, self.region_name, self.account_id)
        stack = Stack(identifier, name, template, parameters, self.account_id, self.region_name, self.exports)
        self.stacks[identifier] = stack
        stack._add_stack_event("CREATE_IN_PROGRESS", "User Initiated")
        try:
            stack.create_resources()
            self.publish(stack)
        except Exception as reason:
            stack.failed("CREATE", reason)
            stack.undo_creation()
            stack.ended("ROLLBACK_COMPLETE", str(reason))
        return stack

    def update_stack(
        self,
        name: str,
        template: str,
        role_arn: str | None,
        parameters: list[dict[str, Any]],
        tags: dict[str, str] | None,
    ) -> models.Stack:
        stack = self.get_stack(name)
        if stack.status not in UPDATABLE:
            raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")
        wanted = self._resolve_update_parameters(stack, parameters)
        _refuse(template, wanted)
        before = stack.template, stack.parameters
        if (template, wanted) == before:
            raise ValidationError(message="No updates are to be performed.")
        stack._add_stack_event("UPDATE_IN_PROGRESS", "User Initiated")
        try:
            stack.become(template, wanted)
            self.publish(stack)
            stack.ended("UPDATE_COMPLETE")
        except Exception as reason:
            stack.failed("UPDATE", reason)
            stack.become(*before)
            stack.ended("UPDATE_ROLLBACK_COMPLETE", str(reason))
        return stack

    def delete_stack(self, name_or_stack_id: str) -> None:
        try:
            stack = self.get_stack(name_or_stack_id)
        except ValidationError:
            return  # as AWS: what is not there is deleted
        for export in self.exports_of(stack):
            if user := self.user_of(export):
                raise ValidationError(message=f"Export {export} cannot be deleted as it is in use by {user}")
        stack._add_stack_event("DELETE_IN_PROGRESS", "User Initiated")
        try:
            stack.resource_map.delete()
        except Exception as reason:
            stack.failed("DELETE", reason)
            stack.ended("DELETE_FAILED", str(reason))
            return
        for export in self.exports_of(stack):
            del self.exports[export]
        stack.ended("DELETE_COMPLETE")
        self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)

    def create_change_set(self, *_: Any, **__: Any) -> Any:
        raise ValidationError(message="the stand-in has no change sets: create or update the stack directly")

    def publish(self, stack: Stack) -> None:
        """Makes the stack's exports be what its outputs are now."""
        before = {name: export.value for name, export in self.exports_of(stack).items()}
        now = {export.name: export for export in stack.exports}
        for name in now:
            if name in self.exports and name not in before:
                other = self.get_stack(self.exports[name].exporting_stack_id).name
                raise ValidationError(message=f"Export with name {name} is already exported by stack {other}")
        for name, value in before.items():
            done = "deleted" if name not in now else "updated" if now[name].value != value else None
            if done and (user := self.user_of(name)):
                raise ValidationError(message=f"Export {name} cannot be {done} as it is in use by {user}")
        for name in before:
            del self.exports[name]
        self.exports.update(now)

    def exports_of(self, stack: Stack) -> dict[str, Any]:
        return {name: one for name, one in self.exports.items() if one.exporting_stack_id == stack.stack_id}

    def user_of(self, export: str) -> str | None:
        """The name of a stack that imports it."""
        return next((stack.name for stack in self.stacks.values() if export in stack.imports), None)


class Stack(models.Stack):
    """A stack of moto's whose document is rendered."""

    __module__ = models.__name__

    def __init__(
        self,
        stack_id: str,
        name: str,
        template: str,
        parameters: dict[str, Any],
        account: str,
        region: str,
        exports: dict[str, Any],
    ) -> None:
        # Before moto's own, which parses the template at once.
        self.parameters, self.region_name = parameters, region
        super().__init__(stack_id, name, template, parameters, account, region)
        self.status_reason: str | None = None
        self.resource_map.cross_stack_resources = exports

    def _parse_template(self) -> None:
        rendered = _template(self.template).rendered(self.parameters, self.region_name)
        self.imports = rendered.imports()
        self.template_dict = _without_conditions(rendered.document)

    def become(self, template: str, parameters: dict[str, Any]) -> None:
        """Makes resources and outputs be those of this template with these parameters."""
        self.template, self.parameters = template, parameters
        self._parse_template()
        self.resource_map.update(self.template_dict, parameters)
        self.output_map = self._outputs()

    def create_resources(self) -> None:
        super().create_resources()
        self.output_map = self._outputs()

    def _outputs(self) -> Any:
        return models.OutputMap(self.resource_map, self.template_dict, self.stack_id)

    def _create_output_map(self) -> Any:
        return self._outputs()

    def undo_creation(self) -> None:
        """Deletes what was made, and forgets what was to be: moto would make it as soon as anyone asks."""
        self.resource_map.delete()
        self.template_dict = {**self.template_dict, "Resources": {}, "Outputs": {}}
        self.resource_map._resource_json_map = {}
        self.output_map = self._outputs()

    def failed(self, what: str, reason: Exception) -> None:
        """Records which resource failed, as far as moto says, and why."""
        made = self.resource_map._parsed_resources
        missing = next((name for name in self.template_dict["Resources"] if name not in made), self.name)
        kind = self.template_dict["Resources"].get(missing, {}).get("Type", "AWS::CloudFormation::Stack")
        event = models.Event(self.stack_id, self.name, missing, "", kind, f"{what}_FAILED", str(reason), None)
        self.events.append(event)

    def ended(self, status: str, reason: str | None = None) -> None:
        self.status, self.status_reason = status, reason
        self._add_stack_event(status, reason)


def _refuse(template: str, parameters: Mapping[str, Any]) -> None:
    """Refuses, before anything is made, what CloudFormation refuses then."""
    try:
        problems = refused_values(_template(template), parameters)
    except yaml.YAMLError as error:
        raise ValidationError(message=f"Template format error: {error}") from error
    if problems:
        raise ValidationError(message=f"Parameters: {'; '.join(problems)}")


def _template(text: str) -> Template:
    return Template(Path("template.yaml"), 0, "template", parsed(text))


def _without_conditions(document: Mapping[str, Any]) -> dict[str, Any]:
    """They are decided; moto would decide them again."""
    bare = {section: value for section, value in document.items() if section not in ("Conditions", "Rules")}
    for section in ("Resources", "Outputs"):
        bare[section] = {
            name: {key: value for key, value in item.items() if key != "Condition"}
            for name, item in bare.get(section, {}).items()
        }
    return bare
