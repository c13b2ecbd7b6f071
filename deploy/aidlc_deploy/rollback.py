"""`rollback`: out of whatever state a deployment got stuck in, back to what ran before.

By the state of the stacks, in this order:

- one is in UPDATE_IN_PROGRESS: the update is cancelled. CloudFormation takes a cancellation in that state alone.
  The update of an earlier `rollback` that was killed is waited for instead.
- one is in UPDATE_ROLLBACK_FAILED: its rollback is continued, past the resources of --skip.
- the service is back already: its last update was rolled back, or the newest revision is not what runs.
- else the service goes back to the revision that ran before.

The database is never migrated down: an older release either works with the newer tables or refuses to start.
"""

from __future__ import annotations

import time

from . import check, service
from .aws import AwsError
from .deployment import Deployment
from .failures import Stopped
from .service import revision
from .stacks import Stack

# What the updates of a rollback are known by, so that another `rollback` does not take them for the failed one.
TOKEN = "aidlc-deploy-rollback"


def run(deployment: Deployment, to: str | None, skip: list[str]) -> int:
    """Goes back, and checks that what runs then is well."""
    mended = [mend(deployment, stack, skip) for stack in deployment.stacks()]
    stack = deployment.stack("service")
    if to or not any(mended):
        go_back(deployment, stack, to)
    given = stack.parameters()
    running = given.get("RunningTaskDefinition")
    if given.get("OneTask") == "true":
        deployment.say(f"{deployment.service}: stays at one task, until `up` with CacheInMemory \"false\" adds others")
    if not running:
        deployment.say("there is no service: nothing ran before. Run `up`.")
    elif not deployment.is_dry:
        service.wait_until_stable(deployment, running)
        check.run(deployment)
    return 0


def mend(deployment: Deployment, stack: Stack, skip: list[str]) -> bool:
    """Gets one stack out of a state that it does not leave by itself; whether it was in one."""
    found = stack.read()
    status = found["StackStatus"] if found else ""
    if status == "UPDATE_IN_PROGRESS" and not stack.token().startswith(TOKEN):
        return cancel(deployment, stack)
    if status == "UPDATE_ROLLBACK_FAILED":
        go_on(deployment, stack, skip)
        return True
    if status.endswith("_IN_PROGRESS") and not deployment.is_dry:
        deployment.say(f"{stack.name}: {status}: is waited for")
        stack.settled()
        return "ROLLBACK" in status or stack.token().startswith(TOKEN)
    return False


def cancel(deployment: Deployment, stack: Stack) -> bool:
    """Cancels the update under way; False if it had ended by then."""
    deployment.say(f"{stack.name}: the update is cancelled")
    try:
        deployment.aws.call("cloudformation", "cancel-update-stack", "--stack-name", stack.name)
    except AwsError as error:
        # It ended between the look and the call.
        if "cannot be called from current stack status" not in error.message:
            raise
        deployment.say(f"{stack.name}: the update had ended before it could be cancelled")
        return False
    stack.wait_for(("UPDATE_ROLLBACK_COMPLETE",))
    return True


def go_on(deployment: Deployment, stack: Stack, skip: list[str]) -> None:
    """Continues a rollback that failed. What is skipped stays as it is and must be set right by hand."""
    deployment.say(f"{stack.name}: its rollback failed: {stack.reason()}")
    arguments = ["--stack-name", stack.name]
    if skip:
        arguments += ["--resources-to-skip", *skip]
    deployment.aws.call("cloudformation", "continue-update-rollback", *arguments)
    stack.wait_for(("UPDATE_ROLLBACK_COMPLETE",))


def go_back(deployment: Deployment, stack: Stack, to: str | None) -> None:
    """Lets the service run an earlier revision, through its stack, so that the two never disagree."""
    running = stack.parameters().get("RunningTaskDefinition")
    found = service.read(deployment) if running else None
    if not running or not found:
        return
    steered = service.primary(found)["taskDefinition"]
    if to:
        target = named(deployment, running, to)
    elif steered != running:
        # ECS went back by itself, behind the stack's back: the stack follows.
        target = steered
    elif is_back(stack, running):
        return deployment.say(
            f"{deployment.service} is back already: {revision(running)} runs. To go further back, name it with --to."
        )
    else:
        target = previous(deployment, running)
    if stack.parameters().get("OneTask") != "true" and was_in_memory(deployment, target):
        raise Stopped(
            f"{revision(target)} keeps codes and sessions in the memory of one task: name another revision with --to, "
            'or set CacheInMemory to "true" and run `up`',
            f"{revision(target)}: 코드와 세션을 태스크 하나의 메모리에 두는 리비전입니다. --to로 다른 리비전을 정하거나, "
            'CacheInMemory를 "true"로 바꾸고 `up`을 실행하십시오.',
        )
    steps = f"{deployment.service}: {revision(running)} → {revision(target)}."
    deployment.confirm(f"{steps} The database stays as it is.", f"{steps} 데이터베이스는 그대로 둡니다.")
    deployment.say(steps)
    changed = {"RunningTaskDefinition": target}
    stack.set_parameters(deployment.template("service"), changed, token=f"{TOKEN}-{int(time.time())}")


def is_back(stack: Stack, running: str) -> bool:
    """Whether the last update was undone, by CloudFormation or by us."""
    found = stack.read() or {}
    return found.get("StackStatus") == "UPDATE_ROLLBACK_COMPLETE" or stack.output("TaskDefinitionArn") != running


def named(deployment: Deployment, running: str, to: str) -> str:
    """The ARN of revision `to`: a number, or `family:number`."""
    family = running.rsplit(":", 1)[0]
    target = f"{family}:{to.rsplit(':', 1)[-1]}"
    answer = deployment.aws.call("ecs", "describe-task-definition", "--task-definition", target)
    if answer and answer["taskDefinition"]["status"] != "ACTIVE":
        raise Stopped(
            f"{revision(target)} is no longer ACTIVE: ECS runs it no more",
            f"{revision(target)}: 더 이상 ACTIVE 상태가 아니므로 ECS에서 실행할 수 없습니다.",
        )
    return target


def was_in_memory(deployment: Deployment, definition: str) -> bool:
    """Whether a revision is one of an emergency, which keeps codes and sessions in the memory of one task."""
    answer = deployment.aws.call("ecs", "describe-task-definition", "--task-definition", definition)
    if not answer:  # a dry run without an account
        return False
    variables = answer["taskDefinition"]["containerDefinitions"][0].get("environment", [])
    return {"name": "REDIS_URL", "value": "memory:"} in variables


def previous(deployment: Deployment, running: str) -> str:
    """The revision that ran before this one: the last that was deployed with success.

    The next lower number would not do: a revision whose migration failed was registered and never ran.
    """
    arguments = ["--cluster", deployment.cluster, "--service", deployment.service, "--status", "SUCCESSFUL"]
    answer = deployment.aws.call("ecs", "list-service-deployments", *arguments)
    arns = [item["targetServiceRevisionArn"] for item in answer.get("serviceDeployments", [])]  # newest first
    if arns:
        # ECS describes up to twenty at a time.
        answer = deployment.aws.call("ecs", "describe-service-revisions", "--service-revision-arns", *arns[:20])
        ran = {item["serviceRevisionArn"]: item["taskDefinition"] for item in answer.get("serviceRevisions", [])}
        for arn in arns:
            if ran.get(arn, running) != running:
                return ran[arn]
    raise Stopped(
        "no earlier successful deployment is known (ECS keeps them for 90 days): name a revision with --to",
        "이전에 성공한 배포를 찾을 수 없습니다(ECS는 90일 동안 보관합니다). --to로 리비전을 정하십시오.",
    )
