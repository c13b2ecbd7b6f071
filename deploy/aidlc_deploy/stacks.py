"""One CloudFormation stack: brought to what its template says, whatever state it is found in.

Stacks are created and updated directly, not by change sets: a change set that was made and not executed
would be one more state to resume from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .aws import Aws, AwsError
from .failures import Stopped
from .patience import Patience
from .templates import Template

# From where CloudFormation takes an update. UPDATE_ROLLBACK_COMPLETE is a failed update that was taken back.
UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
# Never was complete, so nothing in it is of worth. AWS allows nothing but to delete such a stack.
NEVER_COMPLETE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS")
# Of those, where resources are left that may be protected from deletion. In the others there are none: what has
# the name of one is somebody else's.
WITH_RESOURCES_LEFT = ("CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED")
# REVIEW_IN_PROGRESS is no progress: a change set of someone waits to be executed, and may wait for ever.
AT_REST_DESPITE_ITS_NAME = ("REVIEW_IN_PROGRESS",)

TEMPLATE_BYTES_MAX = 51_200


@dataclass(frozen=True)
class Stack:
    """A stack by its name."""

    name: str
    aws: Aws
    patience: Patience
    say: Callable[[str], None]
    # What else to show at each look while something is in progress.
    meanwhile: Callable[[], None] = lambda: None
    # Lets resources that are protected from deletion be deleted.
    unprotect: Callable[[], None] = lambda: None

    def deploy(self, template: Template, parameters: Mapping[str, str]) -> None:
        """Creates the stack or updates it, and waits until that is done."""
        found = self.settled()
        if found and self.never_was_complete(found):
            self.say(f"{self.name}: {found['StackStatus']}: it never was complete, so it is deleted and made anew")
            if found["StackStatus"] in WITH_RESOURCES_LEFT:
                self.unprotect()
            self.delete()
            found = None
        if not found:
            self.say(f"{self.name}: is created")
            self.aws.call("cloudformation", "create-stack", *self.wanted(template, parameters))
        else:
            self.must_take_updates(found)
            if not self.updated(*self.wanted(template, parameters)):
                return
        self.wait_for(("CREATE_COMPLETE", "UPDATE_COMPLETE"))

    def set_parameters(self, template: Template, changed: Mapping[str, str], token: str | None = None) -> None:
        """Updates the stack to other values of some parameters, all else as it is, and waits.

        What the stack has been given counts; the template is asked where there is no stack, in a dry run.
        By the token the update can be told from others while it is under way.
        """
        found = self.settled()
        if found:
            self.must_take_updates(found)
        known = parameters_of(found) or template.parameters
        kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in known if name not in changed]
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in changed.items()]
        arguments = ["--stack-name", self.name, "--use-previous-template", "--parameters", json.dumps(kept + given)]
        if token:
            arguments += ["--client-request-token", token]
        if self.updated(*arguments):
            self.wait_for(("UPDATE_COMPLETE",))

    def updated(self, *arguments: str) -> bool:
        """Starts an update; whether there was anything to update."""
        self.say(f"{self.name}: is updated")
        try:
            self.aws.call("cloudformation", "update-stack", *arguments)
        except AwsError as error:
            # CloudFormation's literal answer to an update that would change nothing.
            if "No updates are to be performed" not in error.message:
                raise
            self.say(f"{self.name}: is as it should be")
            return False
        return True

    def delete(self) -> None:
        """Deletes the stack and waits until it is gone."""
        self.aws.call("cloudformation", "delete-stack", "--stack-name", self.name)
        if self.aws.dry_run:
            return
        left = self.settled()
        if left:
            # A stack whose exports are in use stays as it was, and only its status' reason says so.
            reason = left.get("StackStatusReason") or self.reason()
            raise Stopped(f"{self.name}: {left['StackStatus']}: {reason}", said=[reason])

    def wait_for(self, wanted: tuple[str, ...]) -> None:
        """Waits until the stack has come to rest, and stops with AWS's reason if not in a state that is wanted."""
        if self.aws.dry_run:
            return
        found = self.settled()
        status = found["StackStatus"] if found else "gone"
        if status not in wanted:
            code = "stack_update_rollback_failed" if status == "UPDATE_ROLLBACK_FAILED" else None
            raise Stopped(f"{self.name}: {status}: {self.reason()}", code=code, said=[self.reason()])
        self.say(f"{self.name}: {status}")

    def settled(self) -> dict | None:
        """The stack at rest, None if there is none; waits for whatever is in progress, showing its events."""
        if self.aws.dry_run:
            return self.read()
        seen: set[str] = set()

        def look() -> tuple[dict | None] | None:
            found = self.read()
            is_settled = not found or is_at_rest(found["StackStatus"])
            if seen or not is_settled:
                self.show_events(seen)
                self.meanwhile()
            return (found,) if is_settled else None

        return self.patience.until(self.name, look)[0]

    def read(self) -> dict | None:
        """The stack as it is, None if there is none."""
        try:
            answer = self.aws.call("cloudformation", "describe-stacks", "--stack-name", self.name)
        except AwsError as error:
            if error.code == "ValidationError" and "does not exist" in error.message:
                return None
            raise
        return next(iter(answer.get("Stacks", [])), None)

    def parameters(self) -> dict[str, str]:
        return parameters_of(self.read())

    def outputs(self) -> dict[str, str]:
        found = self.read() or {}
        return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}

    def output(self, name: str) -> str:
        """One of the stack's outputs; in a dry run, where nothing was made, its name in brackets."""
        value = self.outputs().get(name)
        if value is not None:
            return value
        if self.aws.dry_run:
            return f"<{name}>"
        raise Stopped(
            f"{self.name} has no output {name}: it is not deployed, or of an older template. Run `up`.",
            f"{self.name}: 출력 {name} 없음. 아직 배포되지 않았거나 이전 템플릿의 스택입니다. `up`을 실행하십시오.",
        )

    def never_was_complete(self, found: dict) -> bool:
        """Whether the stack's creation never succeeded. One that is stuck in deletion may have served for years:
        only its whole history tells."""
        if found["StackStatus"] != "DELETE_FAILED":
            return found["StackStatus"] in NEVER_COMPLETE
        lived = [event["ResourceStatus"] for event in self.history() if event["LogicalResourceId"] == self.name]
        return lived[-1:] == ["CREATE_IN_PROGRESS"] and not {"CREATE_COMPLETE", "UPDATE_COMPLETE"} & set(lived)

    def events(self) -> list[dict]:
        """The events of the latest operation, oldest first."""
        latest = []
        for event in self.history("--max-items", "200"):
            latest.append(event)
            # What an operator asked for begins with such an event of the stack itself.
            if event.get("ResourceStatusReason") == "User Initiated" and event["LogicalResourceId"] == self.name:
                break
        return latest[::-1]

    def history(self, *arguments: str) -> list[dict]:
        """The events of the stack, newest first."""
        try:
            answer = self.aws.call("cloudformation", "describe-stack-events", "--stack-name", self.name, *arguments)
        except AwsError as error:
            if error.code == "ValidationError":  # deleted meanwhile
                return []
            raise
        return answer.get("StackEvents", [])

    def token(self) -> str:
        """The token that the latest operation was given, if any: AWS writes it into each of its events."""
        return next((event.get("ClientRequestToken", "") for event in self.events()), "")

    def show_events(self, seen: set[str]) -> None:
        for event in self.events():
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                self.say(f"{self.name}: {told(event)}")

    def reason(self) -> str:
        """Why the latest operation failed: the first resource that did, in AWS's words.

        The others say only that they were cancelled because of it.
        """
        failed = [event for event in self.events() if event["ResourceStatus"].endswith("_FAILED")]
        first = [event for event in failed if "cancelled" not in event.get("ResourceStatusReason", "").lower()]
        return told((first or failed)[0]) if failed else "AWS gives no reason"

    def wanted(self, template: Template, parameters: Mapping[str, str]) -> list[str]:
        missing = [name for name in template.parameters if name not in parameters]
        if missing:
            names = ", ".join(missing)
            raise Stopped(
                f"{template.file} needs {names}: add it to deploy/params/<env>.json",
                f"{template.file}: 다음 파라미터가 없습니다. deploy/params/<env>.json에 추가하십시오: {names}",
            )
        if template.path.stat().st_size > TEMPLATE_BYTES_MAX:
            raise Stopped(
                f"{template.file} is larger than CloudFormation takes directly ({TEMPLATE_BYTES_MAX} bytes)",
                f"{template.file}: CloudFormation이 직접 받는 크기({TEMPLATE_BYTES_MAX}바이트)를 넘습니다.",
            )
        given = [{"ParameterKey": name, "ParameterValue": parameters[name]} for name in template.parameters]
        arguments = ["--stack-name", self.name, "--template-body", f"file://{os.path.relpath(template.path)}"]
        arguments += ["--parameters", json.dumps(given, ensure_ascii=False)]
        if any(resource["Type"].startswith("AWS::IAM::") for resource in template.resources.values()):
            arguments += ["--capabilities", "CAPABILITY_NAMED_IAM"]
        tags = {"Application": "aidlc-auth", "Environment": parameters["Environment"]}
        return [*arguments, "--tags", *(f"Key={key},Value={value}" for key, value in tags.items())]

    def must_take_updates(self, found: dict) -> None:
        """Stops, with what to do, if the stack is in a state that takes none."""
        status = found["StackStatus"]
        # A dry run does not wait for the end of what is in progress.
        if status in UPDATABLE or (self.aws.dry_run and not is_at_rest(status)):
            return
        if status == "UPDATE_ROLLBACK_FAILED":
            raise Stopped(
                f"{self.name}: {status}: run `rollback` first",
                f"{self.name}: {status}: 먼저 `rollback`을 실행하십시오.",
                code="stack_update_rollback_failed",
            )
        if status == "DELETE_FAILED":
            raise Stopped(
                f"{self.name}: {status}: AWS lets it only be deleted: run `down` again, then `up`",
                f"{self.name}: {status}: 삭제만 할 수 있는 상태입니다. `down`을 다시 실행한 뒤 `up`을 실행하십시오.",
            )
        if status == "UPDATE_FAILED":
            # Only where someone updated it by hand and forbade CloudFormation to go back.
            way_out = f"aws cloudformation rollback-stack --stack-name {self.name} --region {self.aws.region}"
            raise Stopped(
                f"{self.name}: {status}: an update without roll-back failed; end it with `{way_out}`, then go on",
                f"{self.name}: {status}: 롤백 없이 시작한 업데이트가 실패했습니다. `{way_out}`을 실행한 뒤 계속하십시오.",
            )
        reason = found.get("StackStatusReason", "")
        raise Stopped(
            f"{self.name}: {status}: cannot be updated from there: {reason}",
            f"{self.name}: {status}: 이 상태에서는 업데이트할 수 없습니다. {reason}",
        )


def is_at_rest(status: str) -> bool:
    """Whether nothing happens to a stack of this status by itself."""
    return not status.endswith("_IN_PROGRESS") or status in AT_REST_DESPITE_ITS_NAME


def parameters_of(found: dict | None) -> dict[str, str]:
    given = found.get("Parameters", []) if found else []
    return {item["ParameterKey"]: item["ParameterValue"] for item in given}


def told(event: dict) -> str:
    """An event in one line."""
    parts = [event["ResourceStatus"], event["LogicalResourceId"], event.get("ResourceStatusReason", "")]
    return " ".join(part for part in parts if part)
