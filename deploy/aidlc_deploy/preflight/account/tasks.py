"""1 to 7, 26 and more: what became of the service's tasks, in ECS's own words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ..catalogue import Failure
from ..finding import Finding, failed
from .reading import Account

# As many as describe-tasks takes.
STOPPED_MAX = 100
# What the kernel says of an image for another processor stands in the log, for no program ran to say more.
IN_THE_LOG = "exec format error"
LOG_SECS = 3600


def reasons(account: Account, catalogue: Mapping[str, Failure]) -> Iterator[Finding]:
    """Why tasks stopped, and what the service says about it, each cause once."""
    told: set[str] = set()
    for where, text in [*stopped(account), *events(account), *lines(account)]:
        code = recognised(text, catalogue)
        if code and code not in told:
            told.add(code)
            yield failed(code, f"{where}: {text}")


def recognised(text: str, catalogue: Mapping[str, Failure]) -> str | None:
    """The code whose words stand in a text; of several the longest, for that says most."""
    said = [row for row in catalogue.values() if row.longest_in(text) and {"P", "A"} & set(row.seen)]
    return max(said, key=lambda row: row.longest_in(text)).code if said else None


def stopped(account: Account) -> Iterator[tuple[str, str]]:
    """ECS remembers a stopped task for an hour."""
    if "service" not in account.stacks:
        return
    arguments = ("--cluster", account.cluster, "--desired-status", "STOPPED", "--max-items", str(STOPPED_MAX))
    arns = account.listed("taskArns", "ecs", "list-tasks", *arguments)
    if not arns:
        return
    for task in account.listed("tasks", "ecs", "describe-tasks", "--cluster", account.cluster, "--tasks", *arns):
        where = f"task {task['taskArn'].rsplit('/', 1)[-1]}"
        yield where, task.get("stoppedReason", "")
        for container in task.get("containers") or []:
            yield where, container.get("reason", "")


def events(account: Account) -> Iterator[tuple[str, str]]:
    """What the service said since its present deployment began; older events are history."""
    began = instant(account.primary.get("createdAt"))
    for event in (account.running or {}).get("events") or []:
        if not began or instant(event.get("createdAt")) >= began:
            yield account.running["serviceName"], event["message"]


def lines(account: Account) -> Iterator[tuple[str, str]]:
    """The last hour's log, for what no event says."""
    if not account.task_definition:
        return
    since = str(int((time.time() - LOG_SECS) * 1000))
    wanted = ("--filter-pattern", f'"{IN_THE_LOG}"', "--start-time", since, "--max-items", "1")
    for line in account.listed("events", "logs", "filter-log-events", "--log-group-name", account.log_group, *wanted):
        yield account.log_group, line["message"]


def instant(value: Any) -> float:
    """A time of the aws command: seconds from version 1, ISO 8601 from version 2."""
    if isinstance(value, (int, float)):
        return float(value)
    return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() if value else 0.0


def deployment(account: Account) -> Iterator[Finding]:
    """6 and 7: how the service's deployment is guarded, and whether it is what the stack says."""
    service = account.running
    if not service:
        return
    name = service["serviceName"]
    breaker = (service.get("deploymentConfiguration") or {}).get("deploymentCircuitBreaker") or {}
    if not (breaker.get("enable") and breaker.get("rollback")):
        yield failed("no_circuit_breaker", f"{name}: deploymentCircuitBreaker is off, or does not roll back")
    named, runs = account.given("service", "RunningTaskDefinition"), account.primary.get("taskDefinition", "")
    why = account.primary.get("rolloutStateReason", "")
    if "rolling back to deploymentId" in why:
        yield failed("service_rolled_back", f"{name}: {why}")
    elif named and runs and named != runs:
        yield failed(
            "service_rolled_back", f"{name}: the stack names {revision(named)}, the service runs {revision(runs)}"
        )


def revision(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def sessions(account: Account) -> Iterator[Finding]:
    """26: where ECS exec is on, its agent runs in every task."""
    if not (account.running and account.running.get("enableExecuteCommand")):
        return
    arguments = ("--cluster", account.cluster, "--service-name", account.running["serviceName"])
    arns = account.listed("taskArns", "ecs", "list-tasks", *arguments, "--desired-status", "RUNNING")
    if not arns:
        return
    for task in account.listed("tasks", "ecs", "describe-tasks", "--cluster", account.cluster, "--tasks", *arns):
        agents = [agent for container in task.get("containers") or [] for agent in container.get("managedAgents") or []]
        states = [agent.get("lastStatus") for agent in agents if agent.get("name") == "ExecuteCommandAgent"]
        if task.get("lastStatus") == "RUNNING" and states != ["RUNNING"]:
            state = states[0] if states else "missing"
            yield failed("exec_not_connected", f"task {revision(task['taskArn'])}: ExecuteCommandAgent is {state}")
