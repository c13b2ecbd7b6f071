"""4, 5, 28: what the registered task definition asks for, and whether its roles may have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..finding import Finding, failed
from ..secrets import ONE_KEY, SECRET
from .reading import Account


def secret_keys(account: Account) -> Iterator[Finding]:
    """4: each valueFrom names one key. No secret is read for that."""
    for variable, source in secrets(account):
        named = SECRET.fullmatch(source)
        if named and not ONE_KEY.fullmatch(named["rest"]):
            yield failed(
                "secret_key_suffix", f"{registered(account)}: the valueFrom of {variable} does not end with :key::"
            )


def secret_access(account: Account) -> Iterator[Finding]:
    """5: each role may read its secrets, as IAM itself decides."""
    task = account.task_definition or {}
    own = [it["value"] for it in plain(account) if it["name"] == "DATABASE_SECRET_ARN"]
    foreign = [named["secret"] for _, source in secrets(account) if (named := SECRET.fullmatch(source))]
    for role, arns in ((task.get("executionRoleArn"), foreign), (task.get("taskRoleArn"), own)):
        for arn in refused(account, role, "secretsmanager:GetSecretValue", arns):
            yield failed("secret_access", f"{role}: secretsmanager:GetSecretValue is refused on {arn}")


def log_access(account: Account) -> Iterator[Finding]:
    """28: the log group is there, and the execution role may write to it."""
    task = account.task_definition
    if not task:
        return
    for container in task["containerDefinitions"]:
        options = (container.get("logConfiguration") or {}).get("options") or {}
        group = options.get("awslogs-group", account.log_group)
        found = account.read("logs", "describe-log-groups", "--log-group-name-prefix", group)
        arns = [it["arn"] for it in (found or {}).get("logGroups") or [] if it["logGroupName"] == group]
        if found is not None and not arns:
            yield failed("no_logs", f"{registered(account)}: logs to {group}, and there is no such log group")
        for arn in refused(account, task.get("executionRoleArn"), "logs:PutLogEvents", arns):
            yield failed("no_logs", f"{task['executionRoleArn']}: logs:PutLogEvents is refused on {arn}")


def refused(account: Account, role: str | None, action: str, arns: list[str]) -> Iterator[str]:
    """On which of these IAM would refuse the action."""
    if not role or not arns:
        return
    arguments = ("--policy-source-arn", role, "--action-names", action, "--resource-arns", *arns)
    for result in account.listed("EvaluationResults", "iam", "simulate-principal-policy", *arguments):
        # With several ARNs each has a result of its own.
        if result["EvalDecision"] != "allowed":
            yield result.get("EvalResourceName", arns[0])


def secrets(account: Account) -> Iterator[tuple[str, str]]:
    for container in (account.task_definition or {}).get("containerDefinitions") or []:
        for secret in container.get("secrets") or []:
            yield secret["name"], secret["valueFrom"]


def plain(account: Account) -> Iterator[dict[str, Any]]:
    """The plain variables, of which no value but an ARN is ever told."""
    for container in (account.task_definition or {}).get("containerDefinitions") or []:
        yield from container.get("environment") or []


def registered(account: Account) -> str:
    task = account.task_definition or {}
    return f"{task.get('family')}:{task.get('revision')}"
