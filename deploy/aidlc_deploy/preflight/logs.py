"""28: what the task says is kept."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, failed
from .plan import Container, Plan
from .roles import role_of


def logs(plan: Plan) -> Iterator[Finding]:
    """The container names a log group that a template creates, and the execution role writes to it."""
    created = {
        plan.text(group.properties.get("LogGroupName"), group.template) for group in plan.all("AWS::Logs::LogGroup")
    }
    for container in plan.containers():
        group = group_of(plan, container)
        if not group:
            yield failed("no_logs", f"{container.place}: no LogConfiguration with awslogs-group")
        elif group not in created:
            yield failed("no_logs", f"{container.place}: logs to {group}, which no template creates")
        else:
            yield from unwritable(plan, container, group)


def group_of(plan: Plan, container: Container) -> str:
    """The name of the log group that a container writes to, "" if none."""
    options = (container.definition.get("LogConfiguration") or {}).get("Options") or {}
    named = plan.text(options.get("awslogs-group", ""), container.task.template)
    resource = plan.resource(named)
    return plan.text(resource.properties.get("LogGroupName"), resource.template) if resource else named


def unwritable(plan: Plan, container: Container, group: str) -> Iterator[Finding]:
    role = role_of(plan, container.task, "ExecutionRoleArn")
    if not role:
        yield failed("no_logs", f"{container.task.place}: no ExecutionRoleArn, which must write the log")
        return
    stream = f"arn:aws:logs:{plan.region}:{plan.account}:log-group:{group}:log-stream:{container.name}"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        if not role.allows(action, [stream]):
            yield failed("no_logs", f"{role.place}: no {action} on {group}")
