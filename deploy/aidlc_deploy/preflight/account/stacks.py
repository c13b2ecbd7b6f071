"""12 to 16: the states from which CloudFormation goes nowhere by itself, and why they came about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..finding import Finding, failed
from .reading import Account

# A first creation that failed: AWS allows nothing but to delete such a stack.
NEVER_COMPLETE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
# Everything that is under way and no update: to cancel it is refused.
NOT_TO_CANCEL = (
    "CREATE_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
)
# Where the last operation may have failed; the events say why.
TAKEN_BACK = (*NEVER_COMPLETE, "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
REASONS = {"export_in_use": "in use by", "export_missing": "No export named"}


def states(account: Account) -> Iterator[Finding]:
    """What each stack's status says."""
    for stack in account.stacks.values():
        name, status = stack["StackName"], stack["StackStatus"]
        if status in NEVER_COMPLETE:
            yield failed("stack_rollback_complete", f"{name} is in {status}: {first_failure(account, name)}")
        elif status == "UPDATE_ROLLBACK_FAILED":
            yield failed("stack_update_rollback_failed", f"{name} is in {status}: {last_failure(account, name)}")
        elif status in NOT_TO_CANCEL:
            yield failed(
                "cancel_update_refused", f"{name} is in {status}, in which no update can begin and none be cancelled"
            )


def reasons(account: Account) -> Iterator[Finding]:
    """Events of the last operation that name an export."""
    for stack in account.stacks.values():
        if stack["StackStatus"] in TAKEN_BACK:
            for event in latest(account, stack["StackName"]):
                reason = event.get("ResourceStatusReason", "")
                for code, words in REASONS.items():
                    if words in reason:
                        yield failed(code, f"{stack['StackName']}, {event['LogicalResourceId']}: {reason}")


def removed_exports(account: Account) -> Iterator[Finding]:
    """12, before it happens: an export that the templates have no more, and that a stack imports."""
    for template in account.plan.templates:
        stack = account.stacks.get(template.name) or {}
        for output in stack.get("Outputs") or []:
            name = output.get("ExportName")
            if name and name not in account.plan.exported:
                arguments = ("--export-name", name)
                importers = account.listed("Imports", "cloudformation", "list-imports", *arguments)
                if importers:
                    yield failed(
                        "export_in_use",
                        f"{template.file} exports {name} no more, and {', '.join(importers)} imports it",
                    )


def first_failure(account: Account, stack: str) -> str:
    """Why the last operation failed: the others only say that they were cancelled because of it."""
    failures = failures_of(account, stack)
    own = [event for event in failures if "cancelled" not in event.get("ResourceStatusReason", "").lower()]
    return told((own or failures)[-1]) if failures else "its events say no reason"


def last_failure(account: Account, stack: str) -> str:
    """What kept a roll-back from its end; the stack's own event only sums up."""
    failures = [event for event in failures_of(account, stack) if event["LogicalResourceId"] != stack]
    return told(failures[0]) if failures else "its events say no reason"


def failures_of(account: Account, stack: str) -> list[dict[str, Any]]:
    return [event for event in latest(account, stack) if event["ResourceStatus"].endswith("_FAILED")]


def latest(account: Account, stack: str) -> list[dict[str, Any]]:
    """The events of the last operation, newest first."""
    arguments = ("--stack-name", stack, "--max-items", "200")
    found = []
    for event in account.listed("StackEvents", "cloudformation", "describe-stack-events", *arguments):
        found.append(event)
        # What an operator asked for begins with such an event of the stack itself.
        if event["LogicalResourceId"] == stack and event.get("ResourceStatusReason") == "User Initiated":
            break
    return found


def told(event: dict[str, Any]) -> str:
    return f"{event['LogicalResourceId']} {event['ResourceStatus']}: {event.get('ResourceStatusReason', '')}"
