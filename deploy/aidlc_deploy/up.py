"""`up`: everything that a deployment is, in order, each step of it safe to do again.

No step remembers anything: each looks at what is there. So whatever ended the last run, the next one
comes to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO

from . import bounces, check, image, protection, service, task
from .deployment import Deployment
from .failures import Stopped
from .stacks import Stack, parameters_of
from .templates import Template


@dataclass(frozen=True)
class Step:
    """One step, by the name that `--from` takes."""

    name: str
    do: Callable[[], None]


def run(deployment: Deployment, tag: str | None, start: str | None) -> int:
    """Brings everything up to this tree's templates and image."""
    steps = plan(deployment, tag or image.tag_of(deployment.root.parent))
    names = [step.name for step in steps]
    if start and start not in names:
        steps_there = ", ".join(names)
        raise Stopped(f"there is no step {start}: {steps_there}", f"그런 단계가 없습니다: {start}. 단계: {steps_there}")
    for step in steps[names.index(start) if start else 0 :]:
        deployment.say(f"── {step.name}")
        step.do()
    deployment.say("nothing was changed" if deployment.is_dry else f"{deployment.environment} is up")
    return 0


def plan(deployment: Deployment, tag: str) -> list[Step]:
    """The steps in order. The service's template divides the others into what it needs and what watches it."""
    templates = deployment.templates
    at = templates.index(deployment.template("service"))

    def stack(template: Template) -> Step:
        return Step(template.name, lambda: deploy(deployment, template))

    def watch(template: Template) -> Step:
        return Step(template.name, lambda: watch_with(deployment, template))

    return [
        Step("preflight", lambda: preflight(deployment)),
        *map(stack, templates[:at]),
        Step("image", lambda: image.publish(deployment, tag)),
        Step("task-definition", lambda: register(deployment, tag)),
        Step("migrate", lambda: migrate(deployment)),
        Step("service", lambda: roll(deployment)),
        Step("stable", lambda: wait_until_stable(deployment)),
        Step("scale", lambda: scale_out(deployment)),
        *map(watch, templates[at + 1 :]),
        Step("check", lambda: check.run(deployment)),
    ]


def preflight(deployment: Deployment) -> None:
    from .preflight import run as look

    environment, aws, parameters = deployment.environment, deployment.aws, deployment.parameters
    how = {"language": deployment.language, "before_up": True, "templates": deployment.templates}
    with redirect_stdout(StringIO()) as told:
        status = look(environment, aws, parameters, **how)
    for line in told.getvalue().splitlines():
        deployment.say(line)
    if status:
        raise Stopped(
            "preflight found what would fail; mend it, or go on from a later step with --from",
            "preflight에서 실패할 원인을 찾았습니다. 고친 뒤 다시 실행하거나, --from으로 뒤의 단계부터 진행하십시오.",
        )


def deploy(deployment: Deployment, template: Template, **more: str) -> None:
    given = deployment.parameters.for_template(template, deployment.environment, **more)
    stack = replace(deployment.stack_of(template), unprotect=lambda: protection.lift(deployment, template))
    stack.deploy(template, given)


def register(deployment: Deployment, tag: str) -> None:
    """Registers the new task definition while the service goes on with the one that it runs."""
    # At rest: of an update under way nobody knows yet whether the service will keep what it rolls to.
    given = parameters_of(deployment.stack("service").settled())
    running, one_task = given.get("RunningTaskDefinition", ""), needs_one_task(deployment, given)
    template = deployment.template("service")
    deploy(deployment, template, ImageTag=tag, RunningTaskDefinition=running, OneTask=one_task)


def migrate(deployment: Deployment) -> None:
    """Brings the schema up to date, unless the service runs this revision already."""
    stack = deployment.stack("service")
    definition = registered(deployment, stack)
    if stack.parameters().get("RunningTaskDefinition") == definition:
        return deployment.say("migrate: nothing to do, this revision runs already")
    task.migrate(deployment, definition)


def roll(deployment: Deployment) -> None:
    """Lets the service run the new task definition."""
    stack = deployment.stack("service")
    definition = registered(deployment, stack)
    # The stack says only whether the service came to rest; its tasks say why not.
    shown: set[str] = set()
    stack = replace(stack, meanwhile=lambda: service.show_stopped(deployment, definition, shown))
    changed = {"RunningTaskDefinition": definition, "OneTask": needs_one_task(deployment, stack.parameters())}
    stack.set_parameters(deployment.template("service"), changed)


def wait_until_stable(deployment: Deployment) -> None:
    if deployment.is_dry:
        return
    service.wait_until_stable(deployment, registered(deployment, deployment.stack("service")))


def needs_one_task(deployment: Deployment, given: Mapping[str, str]) -> str:
    """Whether there must never be two tasks at once: codes and sessions are in the memory of the new revision, or of
    the one that still runs."""
    is_needed = service.keeps_in_memory(deployment.parameters.values) or given.get("OneTask") == "true"
    return "true" if is_needed else "false"


def scale_out(deployment: Deployment) -> None:
    """Allows more tasks than one again, once none runs that keeps codes and sessions in its memory."""
    stack = deployment.stack("service")
    given = parameters_of(stack.settled())
    if given.get("OneTask") != "true":
        return deployment.say("scale: nothing to do, the service has as many tasks as it needs")
    if service.keeps_in_memory(deployment.parameters.values):
        return deployment.say("scale: it stays at one task, for CacheInMemory is \"true\"")
    has_left = not service.keeps_in_memory(given) and given["RunningTaskDefinition"] == registered(deployment, stack)
    if not has_left and not deployment.is_dry:
        raise Stopped(
            "the service still runs a task that keeps codes and sessions in its memory: run `up --from task-definition`",
            "아직 코드와 세션을 메모리에 두는 태스크가 실행 중입니다. `up --from task-definition`을 실행하십시오.",
        )
    stack.set_parameters(deployment.template("service"), {"OneTask": "false"})


def watch_with(deployment: Deployment, template: Template) -> None:
    """Deploys what watches the service, with the subscription to bounces if SNS can reach the service by now."""
    deploy(deployment, template, MailSubscription=bounces.subscription(deployment, template))
    bounces.wait_until_confirmed(deployment)


def registered(deployment: Deployment, stack: Stack) -> str:
    """The newest task definition. In a dry run it is yet to be made, whatever an account holds."""
    if deployment.is_dry:
        return "<TaskDefinitionArn>"
    stack.settled()
    return stack.output("TaskDefinitionArn")
