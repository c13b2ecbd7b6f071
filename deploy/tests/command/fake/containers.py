"""ECS, its registry and its load balancer: task definitions, the service's rollouts, tasks that run once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from .answers import Refused

ACCOUNT = "123456789012"
PREFIX = f"arn:aws:ecs:us-east-1:{ACCOUNT}"
REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"


@dataclass
class Task:
    arn: str
    definition: str
    group: str
    started_by: str = ""
    status: str = "STOPPED"
    command: list[str] = field(default_factory=list)
    stopped_reason: str = ""
    exit_code: int | None = None
    lines: list[str] = field(default_factory=list)
    looks: int = 0
    looks_left: int = 0

    def told(self) -> dict:
        container = {"name": "aidlc-auth"}
        if self.status == "STOPPED" and self.exit_code is not None:
            container["exitCode"] = self.exit_code
        return {
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition,
            "group": self.group,
            "lastStatus": self.status,
            "stoppedReason": self.stopped_reason if self.status == "STOPPED" else "",
            "containers": [container],
        }


class Ecs:
    """One cluster with one service."""

    def __init__(self, account) -> None:
        self.account = account
        self.definitions: list[dict] = []
        self.tasks: list[Task] = []
        self.service: dict | None = None
        self.cluster: str | None = None
        self.one_task = False
        self.rollouts: list[dict] = []  # newest first, as list-service-deployments has them

    # What CloudFormation does here.

    def register(self, environment: str, image: str, store: str) -> str:
        revision = f"{environment}-aidlc-auth:{len(self.definitions) + 1}"
        self.definitions.append({"arn": f"{PREFIX}:task-definition/{revision}", "image": image, "store": store})
        return self.definitions[-1]["arn"]

    def run(self, environment: str, definition: str, one_task: bool) -> None:
        """The service is steered to a revision, and rolled back from it if that is the fault of the day."""
        before = self.service and self.service["steered"]
        self.must_not_tear_sessions(before, definition, one_task)
        self.one_task = one_task
        if definition == before:
            return
        fault = before and self.account.fault("breaker")
        name = f"{environment}-aidlc-auth-service"
        # Being at rest takes a look or two longer than CloudFormation waits.
        self.service = {"name": name, "steered": before if fault else definition, "looks_left": 0, "probes_left": 0}
        if fault:
            self.service["failed"] = definition
            self.stop_task(definition, fault["reason"])
        else:
            self.service.update(looks_left=2, probes_left=2)
            self.rollouts.insert(0, {"arn": f"{PREFIX}:service-revision/{len(self.rollouts) + 1}", "definition": definition})

    def must_not_tear_sessions(self, before: str | None, definition: str, one_task: bool) -> None:
        """Codes and sessions in memory allow no second task, neither beside the revision before nor beside a copy."""
        in_memory = [self.must_know(arn)["store"] == "memory:" for arn in (before, definition) if arn]
        if any(in_memory):
            assert one_task, "two tasks keep codes and sessions in their memories"
            assert self.one_task or before is None or before == definition, "it was not one task before"

    def stop_task(self, definition: str, reason: str) -> None:
        """A task of the service that did not live."""
        arn = f"{PREFIX}:task/{self.cluster}/{len(self.tasks) + 1:032x}"
        group = f"service:{self.cluster.removesuffix('-cluster')}-auth-service"
        self.tasks.append(Task(arn, definition, group, stopped_reason=reason, exit_code=1))

    # What the command line can ask.

    def describe_services(self, asked: dict) -> dict:
        self.must_have_cluster()
        if not self.service:
            return {"services": [], "failures": [{"reason": "MISSING"}]}
        running = self.service["looks_left"] == 0
        self.service["looks_left"] = max(0, self.service["looks_left"] - 1)
        deployments = [
            {
                "status": "PRIMARY",
                "taskDefinition": self.service["steered"],
                "rolloutState": "COMPLETED" if running else "IN_PROGRESS",
                "desiredCount": 1,
                "runningCount": int(running),
            }
        ]
        if "failed" in self.service:
            reason = "ECS deployment circuit breaker: tasks failed to start."
            deployments.append(
                {"status": "ACTIVE", "taskDefinition": self.service["failed"], "rolloutState": "FAILED",
                 "rolloutStateReason": reason, "desiredCount": 0, "runningCount": 0}
            )  # fmt: skip
        service = {
            "serviceName": self.service["name"],
            "status": "ACTIVE",
            "desiredCount": 1,
            "runningCount": int(running),
            "deployments": deployments,
            "loadBalancers": [{"targetGroupArn": "arn:aws:elasticloadbalancing:targets"}],
        }
        return {"services": [service], "failures": []}

    def run_task(self, asked: dict) -> dict:
        self.must_have_cluster()
        definition = asked["task-definition"][0]
        self.must_know(definition)
        command = json.loads(asked["overrides"][0])["containerOverrides"][0]["command"]
        number = len(self.tasks) + 1
        task = Task(f"{PREFIX}:task/{self.cluster}/{number:032x}", definition, "family:x", asked["started-by"][0])
        task.status, task.command, task.looks_left = "PROVISIONING", command, 2
        fault = self.account.fault(command[0]) or {}
        task.exit_code = fault.get("exit", 0)
        task.stopped_reason = fault.get("reason", "Essential container in task exited")
        task.lines = fault.get("lines", [f"{command[0]}: said by the task"])
        self.tasks.append(task)
        return {"tasks": [task.told()], "failures": []}

    def list_tasks(self, asked: dict) -> dict:
        self.must_have_cluster()
        wanted = asked.get("desired-status", ["RUNNING"])[0]
        by = asked.get("started-by", [None])[0]
        found = [
            task.arn
            for task in self.tasks
            if (task.status == "STOPPED") == (wanted == "STOPPED") and by in (None, task.started_by)
        ]
        return {"taskArns": found}

    def describe_tasks(self, asked: dict) -> dict:
        found = [task for task in self.tasks if task.arn in asked["tasks"]]
        for task in found:
            task.looks_left = max(0, task.looks_left - 1)
            if task.looks_left == 0:
                task.status = "STOPPED"
        return {"tasks": [task.told() for task in found]}

    def describe_task_definition(self, asked: dict) -> dict:
        definition = self.must_know(asked["task-definition"][0])
        options = {"awslogs-group": self.account.log_group(), "awslogs-stream-prefix": "ecs"}
        variables = [{"name": "REDIS_URL", "value": definition["store"]}]
        container = {"name": "aidlc-auth", "image": definition["image"], "logConfiguration": {"options": options}}
        container["environment"] = variables
        told = {"taskDefinitionArn": definition["arn"], "status": "ACTIVE", "containerDefinitions": [container]}
        return {"taskDefinition": told}

    def list_service_deployments(self, asked: dict) -> dict:
        return {"serviceDeployments": [{"targetServiceRevisionArn": item["arn"]} for item in self.rollouts]}

    def describe_service_revisions(self, asked: dict) -> dict:
        found = [item for item in self.rollouts if item["arn"] in asked["service-revision-arns"]]
        return {
            "serviceRevisions": [
                {"serviceRevisionArn": item["arn"], "taskDefinition": item["definition"]} for item in found
            ]
        }

    def must_have_cluster(self) -> None:
        if not self.cluster:
            raise Refused("ClusterNotFoundException", "Cluster not found.")

    def must_know(self, arn: str) -> dict:
        for definition in self.definitions:
            if definition["arn"] == arn:
                return definition
        raise Refused("ClientException", "Unable to describe task definition.")
