"""The ECS service: whether it runs what the stack says, and why not."""

from __future__ import annotations

from collections.abc import Mapping

from .aws import AwsError
from .deployment import Deployment
from .failures import Stopped


def wait_until_stable(deployment: Deployment, wanted: str) -> None:
    """Waits until the service runs the wanted revision alone, all of it healthy behind the load balancer.

    A stack can be green while the service was rolled back: CloudFormation waits for a service at rest,
    and a service that its circuit breaker rolled back is at rest.
    """
    shown: set[str] = set()

    def look() -> bool | None:
        service = read(deployment)
        if not service:
            raise Stopped(
                f"there is no service {deployment.service}: run `up`",
                f"서비스가 없습니다: {deployment.service}. `up`을 실행하십시오.",
            )
        show_stopped(deployment, wanted, shown)
        if was_rolled_back(service, wanted):
            reasons = [task["stoppedReason"] for task in stopped_tasks(deployment, wanted)]
            running = revision(primary(service)["taskDefinition"])
            why = f"{rollout_reason(service, wanted)} {' | '.join(reasons[:3])}".strip()
            raise Stopped(
                f"{deployment.service} runs {running}, not {revision(wanted)}: ECS rolled it back. {why}",
                f"{deployment.service}: {revision(wanted)} 대신 {running} 실행 중. ECS가 배포를 되돌렸습니다. {why}",
                code="service_rolled_back",
            )
        healthy = count_healthy(deployment, service)
        show_once(deployment, shown, progress(service, healthy))
        return True if is_stable(service, wanted, healthy) else None

    deployment.patience.until(deployment.service, look)
    deployment.say(f"{deployment.service}: stable with {revision(wanted)}")


def keeps_in_memory(parameters: Mapping[str, str]) -> bool:
    """Whether a task with these parameters keeps codes and sessions to itself, so that it must be the only one."""
    return parameters.get("CacheInMemory") == "true"


def read(deployment: Deployment) -> dict | None:
    """The service as ECS tells it, None if there is none."""
    try:
        answer = deployment.aws.call(
            "ecs", "describe-services", "--cluster", deployment.cluster, "--services", deployment.service
        )
    except AwsError as error:
        if error.code == "ClusterNotFoundException":
            return None
        raise
    services = [service for service in answer.get("services", []) if service["status"] == "ACTIVE"]
    return next(iter(services), None)


def primary(service: dict) -> dict:
    """The deployment that ECS is steering to."""
    return next(item for item in service["deployments"] if item["status"] == "PRIMARY")


def was_rolled_back(service: dict, wanted: str) -> bool:
    """Whether ECS gave the wanted revision up: it steers to another one, or says so."""
    states = [item.get("rolloutState") for item in service["deployments"] if item["taskDefinition"] == wanted]
    return primary(service)["taskDefinition"] != wanted or "FAILED" in states


def is_stable(service: dict, wanted: str, healthy: int) -> bool:
    steered = primary(service)
    others = [item for item in service["deployments"] if item is not steered]
    return (
        sum(item["runningCount"] for item in others) == 0
        and steered["taskDefinition"] == wanted
        and steered.get("rolloutState") == "COMPLETED"
        and service["runningCount"] == service["desiredCount"] > 0
        and healthy >= service["runningCount"]
    )


def targets(deployment: Deployment, service: dict) -> list[dict]:
    """The load balancer's targets, each with its state and the reason for it."""
    found = []
    for balancer in service.get("loadBalancers", []):
        answer = deployment.aws.call(
            "elbv2", "describe-target-health", "--target-group-arn", balancer["targetGroupArn"]
        )
        found += answer.get("TargetHealthDescriptions", [])
    return found


def count_healthy(deployment: Deployment, service: dict) -> int:
    return sum(target["TargetHealth"]["State"] == "healthy" for target in targets(deployment, service))


def stopped_tasks(deployment: Deployment, definition: str | None = None) -> list[dict]:
    """The service's tasks that stopped within about the last hour: longer ECS does not keep them."""
    answer = deployment.aws.call(
        "ecs", "list-tasks", "--cluster", deployment.cluster, "--desired-status", "STOPPED"
    )
    return [
        task
        for task in described(deployment, answer.get("taskArns", []))
        if task.get("group") == f"service:{deployment.service}"
        and task.get("stoppedReason")
        and definition in (None, task["taskDefinitionArn"])
    ]


def described(deployment: Deployment, arns: list[str]) -> list[dict]:
    if not arns:
        return []
    # ECS describes up to a hundred at a time.
    answer = deployment.aws.call("ecs", "describe-tasks", "--cluster", deployment.cluster, "--tasks", *arns[:100])
    return answer.get("tasks", [])


def show_stopped(deployment: Deployment, definition: str, shown: set[str]) -> None:
    """Says of each task that stopped why, once."""
    for task in stopped_tasks(deployment, definition):
        show_once(deployment, shown, told(task))


def told(task: dict) -> str:
    """A stopped task in one line."""
    exits = [f"exit {item['exitCode']}" for item in task.get("containers", []) if "exitCode" in item]
    reasons = [item["reason"] for item in task.get("containers", []) if item.get("reason")]
    name = task["taskArn"].rsplit("/", 1)[-1][:8]
    return f"task {name} {revision(task['taskDefinitionArn'])} stopped: " + "; ".join(
        [task["stoppedReason"], *exits, *reasons]
    )


def progress(service: dict, healthy: int) -> str:
    steered = primary(service)
    return (
        f"{service['serviceName']}: {revision(steered['taskDefinition'])} {steered.get('rolloutState', '')}, "
        f"{service['runningCount']} of {service['desiredCount']} running, {healthy} healthy"
    )


def rollout_reason(service: dict, wanted: str) -> str:
    reasons = [item.get("rolloutStateReason", "") for item in service["deployments"] if item["taskDefinition"] == wanted]
    return " ".join(filter(None, reasons))


def revision(definition: str) -> str:
    """`aidlc-auth:7` of a task definition's ARN."""
    return definition.rsplit("/", 1)[-1]


def show_once(deployment: Deployment, shown: set[str], line: str) -> None:
    if line not in shown:
        shown.add(line)
        deployment.say(line)
