"""6, 8, 9, 10, 33: requests find the tasks, before, during and after a deployment."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, failed
from .firewall import Firewall
from .plan import Container, Plan, Resource
from .service_defaults import default

PORT = "8001"
HEALTH_PATH = "/health/ready"

# The first start of a task takes seconds even on a quarter of a processor; less than this is none to spare.
GRACE_SECS_MIN = 30
# Mails in hand get this long when the service stops (docs/operating/README.md, "Stopping").
MAIL_DRAIN_SECS = 10
# Every call is answered within this (docs/scaling.md).
ANSWER_SECS = 10
# What ECS and the load balancer do where nothing is said.
STOP_SECS, BALANCER_IDLE_SECS, DEREGISTRATION_SECS = 30, 60, 300


def circuit_breaker(plan: Plan) -> Iterator[Finding]:
    """6: a deployment that cannot succeed is given up, and taken back."""
    for service in plan.all("AWS::ECS::Service"):
        breaker = (service.properties.get("DeploymentConfiguration") or {}).get("DeploymentCircuitBreaker") or {}
        off = [name for name in ("Enable", "Rollback") if not is_on(breaker.get(name))]
        if off:
            yield failed("no_circuit_breaker", f"{service.place}: DeploymentCircuitBreaker without {' and '.join(off)}")


def listener(plan: Plan) -> Iterator[Finding]:
    """8: the service waits for the listener that ties its target group to the load balancer."""
    for service in plan.all("AWS::ECS::Service"):
        for group in target_groups(plan, service):
            forwarding = [
                it for it in plan.all("AWS::ElasticLoadBalancingV2::Listener") + plan.all("AWS::ElasticLoadBalancingV2::ListenerRule")
                if it.template == service.template and forwards(plan, it, group)
            ]  # fmt: skip
            if not forwarding:
                yield failed(
                    "target_group_unattached", f"{service.place}: no listener of this stack forwards to {group.name}"
                )
            elif not {it.name for it in forwarding} & set(service.depends_on):
                names = " or ".join(it.name for it in forwarding)
                yield failed(
                    "target_group_unattached",
                    f"{service.place}: no DependsOn with {names}, which forwards to {group.name}",
                )


def forwards(plan: Plan, listener: Resource, group: Resource) -> bool:
    actions = (listener.properties.get("DefaultActions") or []) + (listener.properties.get("Actions") or [])
    for action in actions:
        tuples = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
        named = [action.get("TargetGroupArn"), *(it.get("TargetGroupArn") for it in tuples)]
        if group.reference in plan.texts(named, listener.template):
            return True
    return False


def health_checks(plan: Plan) -> Iterator[Finding]:
    """9: whoever asks whether a task is well asks at the right place, and with patience."""
    for wrong in wrong_checks(plan):
        yield failed("killed_while_starting", wrong)


def wrong_checks(plan: Plan) -> Iterator[str]:
    for service in plan.all("AWS::ECS::Service"):
        grace = service.properties.get("HealthCheckGracePeriodSeconds")
        if grace is None or int(grace) < GRACE_SECS_MIN:
            given = "not given" if grace is None else f"{grace}"
            yield f"{service.place}: HealthCheckGracePeriodSeconds is {given}, and a start needs {GRACE_SECS_MIN}"
        for container in plan.containers_of(service):
            yield from wrong_ports(plan, service, container)
        for group in target_groups(plan, service):
            yield from wrong_target_group(group)
    for container in plan.containers():
        command = (container.definition.get("HealthCheck") or {}).get("Command") or ["CMD"]
        if command[0] == "CMD-SHELL":
            yield f"{container.place}: HealthCheck by CMD-SHELL, and the image has no shell: write CMD"


def wrong_ports(plan: Plan, service: Resource, container: Container) -> Iterator[str]:
    listening = container.environment.get("PORT", str(default("PORT")))
    if listening not in container.ports:
        yield f"{container.place}: the service listens on {listening}, PortMappings has {', '.join(container.ports) or 'none'}"
    for balancer in service.properties.get("LoadBalancers") or []:
        if str(balancer.get("ContainerPort")) != listening:
            yield f"{service.place}: LoadBalancers has port {balancer.get('ContainerPort')}, the service listens on {listening}"
    if listening != PORT:
        yield f"{container.place}: PORT is {listening}, and everything else is made for {PORT}"


def wrong_target_group(group: Resource) -> Iterator[str]:
    check = group.properties
    wanted = {
        "HealthCheckPath": HEALTH_PATH,
        "Protocol": "HTTP",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
    }
    # What is not given is as it should be; only the path is / then.
    given = {"HealthCheckPath": "/", **check}
    for name, right in wanted.items():
        if str(given.get(name, right)) not in (right, PORT):
            yield f"{group.place}: {name} is {given[name]}, not {right}"
    codes = str((check.get("Matcher") or {}).get("HttpCode", "200"))
    if codes != "200":
        yield f"{group.place}: Matcher is {codes}, and {HEALTH_PATH} answers 200"
    if str(check.get("Port", PORT)) != PORT:
        yield f"{group.place}: Port is {check['Port']}, not {PORT}"
    timeout, interval = int(check.get("HealthCheckTimeoutSeconds", 5)), int(check.get("HealthCheckIntervalSeconds", 30))
    if timeout >= interval:
        yield f"{group.place}: HealthCheckTimeoutSeconds {timeout} is not below HealthCheckIntervalSeconds {interval}"


def reachable(plan: Plan) -> Iterator[Finding]:
    """10: nothing stands between the load balancer and the program."""
    for wrong in barriers(plan):
        yield failed("targets_unhealthy", wrong)


def barriers(plan: Plan) -> Iterator[str]:
    firewall = Firewall(plan)
    for service in plan.all("AWS::ECS::Service"):
        for container in plan.containers_of(service):
            host = container.environment.get("HOST", str(default("HOST")))
            if host in ("localhost", "::1") or host.startswith("127."):
                yield f"{container.place}: HOST is {host}, where only the task itself can reach it"
        for group in target_groups(plan, service):
            if group.properties.get("TargetType") != "ip":
                yield f"{group.place}: TargetType is {group.properties.get('TargetType', 'instance')}, and Fargate's tasks have addresses only: ip"
        for balancer in plan.all("AWS::ElasticLoadBalancingV2::LoadBalancer"):
            sources = plan.group(plan.texts(balancer.properties.get("SecurityGroups"), balancer.template))
            for task_group in plan.security_groups_of(service):
                yield from firewall.closed(sources, task_group, int(PORT))


def smooth(plan: Plan) -> Iterator[Finding]:
    """33: a connection that the load balancer may use is open, and a request under way is finished."""
    for service in plan.all("AWS::ECS::Service"):
        for container in plan.containers_of(service):
            for wrong in rough(plan, service, container):
                yield failed("bad_gateway_at_deploy", wrong)


def rough(plan: Plan, service: Resource, container: Container) -> Iterator[str]:
    idle = container.number("IDLE_TIMEOUT_SECONDS", default("IDLE_TIMEOUT_SECONDS"))
    for balancer in plan.all("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        held = attribute(balancer, "LoadBalancerAttributes", "idle_timeout.timeout_seconds", BALANCER_IDLE_SECS)
        if idle <= held:
            yield f"{balancer.place}: holds idle connections for {held} s, and the service closes them after {idle} s"
    stop = int(container.definition.get("StopTimeout", STOP_SECS))
    drain = container.number("DRAIN_DELAY_SECONDS", default("DRAIN_DELAY_SECONDS"))
    drain += container.number("DRAIN_TIMEOUT_SECONDS", default("DRAIN_TIMEOUT_SECONDS")) + MAIL_DRAIN_SECS
    if stop < drain:
        yield f"{container.place}: StopTimeout is {stop} s, and stopping takes up to {drain} s"
    for group in target_groups(plan, service):
        delay = attribute(group, "TargetGroupAttributes", "deregistration_delay.timeout_seconds", DEREGISTRATION_SECS)
        if delay < ANSWER_SECS:
            yield f"{group.place}: deregistration_delay is {delay} s, and an answer may take {ANSWER_SECS} s"


def target_groups(plan: Plan, service: Resource) -> list[Resource]:
    named = [it.get("TargetGroupArn") for it in service.properties.get("LoadBalancers") or []]
    return plan.group(plan.texts(named, service.template))


def attribute(resource: Resource, attributes: str, key: str, otherwise: int) -> int:
    found = {it["Key"]: it["Value"] for it in resource.properties.get(attributes) or []}
    return int(found.get(key, otherwise))


def is_on(value: object) -> bool:
    """A switch; after rendering it may be text."""
    return str(value).lower() == "true"
