"""Tasks that run once, beside the service, in its image and with its settings: migrate, doctor, operator tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass

from . import logs
from .deployment import CONTAINER, Deployment
from .failures import BY_AWS, BY_THE_TASK, Stopped

LAST_LINES = 20
# CloudWatch has a task's last lines some seconds after it ended.
LOG_DELAY_SECS = 30


@dataclass(frozen=True)
class Ended:
    """How a task ended. `exit_code` is None where the program never started."""

    exit_code: int | None
    reason: str
    lines: list[str]


def migrate(deployment: Deployment, definition: str) -> None:
    """Brings the schema up to date with the new revision's image, before that revision takes traffic."""
    ended = run(deployment, definition, ["migrate"], purpose=f"migrate/{definition.rsplit(':', 1)[-1]}")
    if deployment.is_dry:
        return
    if ended.exit_code != 0:
        lines = ended.lines[-LAST_LINES:]
        for line in lines:
            deployment.say(f"migrate: {line}")
        end = f"{ended.exit_code}: {ended.reason}"
        raise Stopped(
            f"migrate ended with {end}. The service was not touched.",
            f"migrate 종료 {end}. 서비스는 그대로입니다.",
            said=[ended.reason, *lines],
            by=BY_THE_TASK + BY_AWS,
        )
    deployment.say("migrate: done")


def doctor(deployment: Deployment, as_json: bool) -> int:
    """Runs the doctor inside the VPC and prints what it found."""
    told_how = ["--json"] if as_json else ["--language", deployment.language]
    return told(run(deployment, running_definition(deployment), ["doctor", *told_how], "doctor"))


def operate(deployment: Deployment, command: list[str]) -> int:
    """Runs one of the binary's own sub-commands and prints what it wrote."""
    return told(run(deployment, running_definition(deployment), command, "operate"))


def told(ended: Ended) -> int:
    for line in ended.lines:
        print(line)
    if ended.exit_code is None:
        raise Stopped(
            f"the task did not start: {ended.reason}",
            f"태스크가 시작되지 않았습니다: {ended.reason}",
            said=[ended.reason],
        )
    return ended.exit_code


def running_definition(deployment: Deployment) -> str:
    """The revision that the stack names as running, else the newest: before the first service there is but one."""
    stack = deployment.stack("service")
    return stack.parameters().get("RunningTaskDefinition") or stack.output("TaskDefinitionArn")


def run(deployment: Deployment, definition: str, command: list[str], purpose: str) -> Ended:
    """Runs one task to its end. One that was started for the same purpose and still runs is waited for instead."""
    started_by = f"aidlc-deploy/{purpose}"
    task = running(deployment, started_by) if purpose.startswith("migrate/") else None
    if task:
        deployment.say(f"{command[0]}: waits for the task that runs already")
    else:
        deployment.say(f"{command[0]}: runs as a task")
        task = start(deployment, definition, command, started_by)
    if deployment.is_dry:
        return Ended(0, "", [])
    ended = deployment.patience.until(command[0], lambda: at_end(deployment, task))
    container = next(item for item in ended["containers"] if item["name"] == CONTAINER)
    exit_code = container.get("exitCode")
    reason = "; ".join(filter(None, [ended.get("stoppedReason"), container.get("reason")]))
    # A program that never started wrote nothing.
    wrote = [] if exit_code is None else lines(deployment, task, definition, command)
    return Ended(exit_code, reason, wrote)


def running(deployment: Deployment, started_by: str) -> str | None:
    answer = deployment.aws.call("ecs", "list-tasks", "--cluster", deployment.cluster, "--started-by", started_by)
    return next(iter(answer.get("taskArns", [])), None)


def start(deployment: Deployment, definition: str, command: list[str], started_by: str) -> str:
    network = {
        "awsvpcConfiguration": {
            "subnets": deployment.stack("network").output("PrivateSubnetIds").split(","),
            "securityGroups": [deployment.stack("security-groups").output("TaskGroupId")],
            "assignPublicIp": "DISABLED",
        }
    }
    overrides = {"containerOverrides": [{"name": CONTAINER, "command": command}]}
    answer = deployment.aws.call(
        "ecs", "run-task",
        "--cluster", deployment.cluster,
        "--task-definition", definition,
        "--launch-type", "FARGATE",
        "--network-configuration", json.dumps(network),
        "--overrides", json.dumps(overrides),
        "--started-by", started_by,
    )  # fmt: skip
    # A task that could not be placed is no error to ECS: it stands among the failures.
    if answer.get("failures"):
        reasons = [failure.get("reason", "") for failure in answer["failures"]]
        said = "; ".join(reasons)
        raise Stopped(
            f"ECS would not run the task: {said}", f"ECS가 태스크를 실행하지 않았습니다: {said}", said=reasons
        )
    return "" if deployment.is_dry else answer["tasks"][0]["taskArn"]


def at_end(deployment: Deployment, task: str) -> dict | None:
    answer = deployment.aws.call("ecs", "describe-tasks", "--cluster", deployment.cluster, "--tasks", task)
    found = next(iter(answer.get("tasks", [])), None)
    if not found:  # not visible yet
        return None
    return found if found["lastStatus"] == "STOPPED" else None


def lines(deployment: Deployment, task: str, definition: str, command: list[str]) -> list[str]:
    """What a task wrote, once all of it seems to have arrived: CloudWatch has it late, and in parts."""
    looks: list[list[str]] = [[]]

    def look() -> list[str] | None:
        looks.append(logs.of_task(deployment, task, definition))
        before, now = looks[-2:]
        is_whole = is_json("\n".join(now)) if "--json" in command else now == before
        return now if now and is_whole else None

    try:
        return deployment.patience.at_most(LOG_DELAY_SECS).until("its log", look)
    except Stopped:
        return looks[-1]


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
