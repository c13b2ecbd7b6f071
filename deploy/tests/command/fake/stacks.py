"""CloudFormation: the state machine of a stack.

An operation is a list of moments; each look at the stack (describe-stacks) lets the next one happen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aidlc_deploy.templates import Template, load_template

from .answers import Refused

@cache
def parsed(path: Path, text: str) -> Template:
    """The template at this path, as long as this is its text."""
    return load_template(path)


CANCELLED = "Resource creation cancelled"


@dataclass
class Stack:
    name: str
    status: str
    template: Path | None = None
    body: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    reason: str = ""
    token: str = ""
    events: list[dict] = field(default_factory=list)
    moments: list[tuple] = field(default_factory=list)
    # What an operation under way will make of it, or was to make.
    wanted: dict[str, str] = field(default_factory=dict)
    wanted_body: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudformation:us-east-1:123456789012:stack/{self.name}/1"

    def happened(self, resource: str, status: str, reason: str = "") -> None:
        event = {"EventId": f"{self.name}-{len(self.events)}", "LogicalResourceId": resource, "ResourceStatus": status}
        # "All events triggered by a given stack operation are assigned the same client request token." (API reference)
        more = {"ResourceStatusReason": reason, "ClientRequestToken": self.token}
        self.events.append({**event, **{name: value for name, value in more.items() if value}})

    def become(self, status: str, reason: str = "") -> None:
        self.status, self.reason = status, reason
        self.happened(self.name, status, reason)


class CloudFormation:
    """Every stack of the account. `account` is told when the service's stack changes what ECS runs."""

    def __init__(self, account) -> None:
        self.account = account
        self.stacks: dict[str, Stack] = {}

    # What the command line can ask.

    def create_stack(self, asked: dict) -> dict:
        name = asked["stack-name"][0]
        if name in self.stacks:
            raise Refused("AlreadyExistsException", f"Stack [{name}] already exists")
        stack = Stack(name, "")
        self.take(stack, asked)
        self.stacks[name] = stack
        stack.become("CREATE_IN_PROGRESS", "User Initiated")
        missing = [name for name in self.imports(stack) if name not in self.exports()]
        fault = self.account.fault(f"{name}:create")
        if missing:
            fault = {"resource": name, "reason": f"No export named {missing[0]} found"}
        if fault:
            # What is protected from deletion keeps the creation from being undone.
            sticks = self.account.fault(f"{name}:rollback") or self.account.protected_in(stack)
            stack.moments += failing("CREATE", "ROLLBACK", fault, bool(sticks))
        else:
            stack.moments += [("event", "Thing", "CREATE_COMPLETE"), ("commit", "CREATE_COMPLETE")]
        return {"StackId": stack.arn}

    def update_stack(self, asked: dict) -> dict:
        stack = self.known(asked)
        if stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
            raise Refused("ValidationError", f"Stack:{stack.arn} is in {stack.status} state and can not be updated.")
        self.take(stack, asked)
        if (stack.wanted, stack.wanted_body) == (stack.parameters, stack.body):
            raise Refused("ValidationError", "No updates are to be performed.")
        stack.become("UPDATE_IN_PROGRESS", "User Initiated")
        fault = self.account.fault(f"{stack.name}:update")
        if fault:
            if "stopped" in fault:
                self.account.ecs.stop_task(stack.wanted["RunningTaskDefinition"], fault["stopped"])
            stack.moments += failing("UPDATE", "UPDATE_ROLLBACK", fault, bool(self.account.fault(f"{stack.name}:rollback")))
        else:
            stack.moments += [
                ("event", "Thing", "UPDATE_COMPLETE"),
                ("commit", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
                ("status", "UPDATE_COMPLETE"),
            ]
        return {"StackId": stack.arn}

    def cancel_update_stack(self, asked: dict) -> dict:
        stack = self.known(asked)
        # "You can cancel only stacks that are in the UPDATE_IN_PROGRESS state." (API reference)
        if stack.status != "UPDATE_IN_PROGRESS":
            raise Refused("ValidationError", "CancelUpdateStack cannot be called from current stack status")
        stack.token = ""
        stack.become("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        stack.moments = [("status", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"), ("status", "UPDATE_ROLLBACK_COMPLETE")]
        return {}

    def continue_update_rollback(self, asked: dict) -> dict:
        stack = self.known(asked)
        # "A stack goes into the UPDATE_ROLLBACK_FAILED state when CloudFormation cannot roll back all changes";
        # from there alone can it be continued. (API reference; the wording of the refusal is ours.)
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise Refused("ValidationError", f"Stack:{stack.arn} is in {stack.status} state and can not continue rollback")
        stack.token = ""
        stack.become("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        fault = self.account.fault(f"{stack.name}:rollback")
        if fault and fault["resource"] not in asked.get("resources-to-skip", []):
            stack.moments = [("event", fault["resource"], "UPDATE_FAILED", fault["reason"]), ("status", "UPDATE_ROLLBACK_FAILED")]
        else:
            stack.moments = [("status", "UPDATE_ROLLBACK_COMPLETE")]
        return {}

    def delete_stack(self, asked: dict) -> dict:
        name = asked["stack-name"][0]
        stack = self.stacks.get(name)
        if not stack:  # deleting what is not there is no error
            return {}
        if stack.status == "UPDATE_IN_PROGRESS":
            raise Refused("ValidationError", f"Stack [{name}] cannot be deleted while in status {stack.status}")
        users = [other.name for other in self.stacks.values() if set(other.imports) & set(stack.exports)]
        if users:
            # The call succeeds; the stack stays as it was and says so.
            stack.reason = f"Delete canceled. Cannot delete export {stack.exports[0]} as it is in use by {users[0]}."
            return {}
        stack.become("DELETE_IN_PROGRESS", "User Initiated")
        fault = self.account.fault(f"{name}:delete")
        protected = self.account.protected_in(stack)
        if protected:
            fault = dict(zip(("resource", "reason"), protected))
        if fault:
            stack.moments = [("event", fault["resource"], "DELETE_FAILED", fault["reason"]), ("status", "DELETE_FAILED")]
        else:
            stack.moments = [("event", "Thing", "DELETE_COMPLETE"), ("gone",)]
        return {}

    def describe_stacks(self, asked: dict) -> dict:
        name = asked["stack-name"][0]
        if name in self.stacks:
            self.move_on(self.stacks[name])
        stack = self.known(asked)
        # While an update is under way its parameters are shown; one that is rolled back gives the old ones again,
        # where there are any.
        given = stack.wanted if stack.status == "UPDATE_IN_PROGRESS" else stack.parameters or stack.wanted
        return {
            "Stacks": [
                {
                    "StackName": stack.name,
                    "StackId": stack.arn,
                    "StackStatus": stack.status,
                    **({"StackStatusReason": stack.reason} if stack.reason else {}),
                    "Parameters": [
                        {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
                    ],
                    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in stack.outputs.items()],
                }
            ]
        }

    def describe_stack_events(self, asked: dict) -> dict:
        return {"StackEvents": self.known(asked).events[::-1]}

    # What goes on behind it.

    def move_on(self, stack: Stack) -> None:
        if not stack.moments:
            return
        what, *details = stack.moments.pop(0)
        if what == "event":
            stack.happened(*details)
        elif what == "status":
            stack.become(*details)
        elif what == "gone":
            del self.stacks[stack.name]
            self.account.deleted(stack)
        elif what == "commit":
            self.commit(stack)
            stack.become(*details)

    def commit(self, stack: Stack) -> None:
        stack.parameters, stack.body = stack.wanted, stack.wanted_body
        self.account.committed(stack)
        rendered = parsed(stack.template, stack.body).rendered(stack.parameters)
        stack.outputs = {
            name: self.account.output(stack, name, output["Value"]) for name, output in rendered.outputs.items()
        }
        stack.exports = list(rendered.exports().values())
        stack.imports = rendered.imports()

    def take(self, stack: Stack, asked: dict) -> None:
        """What an operation is to make of the stack, as far as CloudFormation checks it at once."""
        if "use-previous-template" not in asked:
            stack.template = Path(asked["template-body"][0].removeprefix("file://")).resolve()
            stack.wanted_body = stack.template.read_text("utf-8")
        declared = parsed(stack.template, stack.wanted_body).parameters
        given = {}
        for item in json.loads(asked["parameters"][0]):
            key = item["ParameterKey"]
            given[key] = stack.parameters[key] if item.get("UsePreviousValue") else item["ParameterValue"]
        unknown = [key for key in given if key not in declared]
        missing = [key for key in declared if key not in given]
        if unknown:
            raise Refused("ValidationError", f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        if missing:
            raise Refused("ValidationError", f"Parameters: [{', '.join(missing)}] must have values")
        stack.wanted = given
        stack.token = asked.get("client-request-token", [""])[0]

    def known(self, asked: dict) -> Stack:
        name = asked["stack-name"][0]
        if name not in self.stacks:
            raise Refused("ValidationError", f"Stack with id {name} does not exist")
        return self.stacks[name]

    def imports(self, stack: Stack) -> list[str]:
        return parsed(stack.template, stack.wanted_body).rendered(stack.wanted).imports()

    def exports(self) -> set[str]:
        return {name for stack in self.stacks.values() for name in stack.exports}


def failing(doing: str, then: str, fault: dict, sticks: bool) -> list[tuple]:
    """An operation that fails and is taken back, or cannot be taken back if it `sticks`."""
    begin = "create" if doing == "CREATE" else "update"
    said = f"The following resource(s) failed to {begin}: [{fault['resource']}]. Rollback requested by user."
    moments = [
        # What is cancelled because of a failure may be told before it: events of one moment have no order.
        ("event", "Other", f"{doing}_FAILED", CANCELLED),
        ("event", fault["resource"], f"{doing}_FAILED", fault["reason"]),
        ("status", f"{then}_IN_PROGRESS", said),
    ]
    if sticks:
        return [*moments, ("event", fault["resource"], f"{doing}_FAILED", "it sticks"), ("status", f"{then}_FAILED")]
    if then == "UPDATE_ROLLBACK":
        moments.append(("status", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"))
    return [*moments, ("status", f"{then}_COMPLETE")]
