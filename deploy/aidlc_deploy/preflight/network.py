"""1, 11, 26, 29: tasks in private subnets reach what they need of AWS, and the groups can be created at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..templates import Template
from .finding import Finding, failed
from .firewall import Firewall
from .plan import HOLE, Container, Plan, Resource
from .roles import role_of
from .traffic import is_on

# What starts a task on Fargate asks for: the image's manifest, its layers' addresses, secrets, the log.
INTERFACES = ["ecr.api", "ecr.dkr", "logs", "secretsmanager"]
PULL_ACTIONS = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
EXEC_ACTIONS = [
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
]


def starting(plan: Plan) -> Iterator[Finding]:
    """1: whatever starts a task finds image, secrets and log."""
    for wrong in [*endpoints(plan), *layers(plan), *pulling(plan)]:
        yield failed("resource_initialization", wrong)


def endpoints(plan: Plan) -> Iterator[str]:
    for vpc in plan.all("AWS::EC2::VPC"):
        for name in ("EnableDnsSupport", "EnableDnsHostnames"):
            if not is_on(vpc.properties.get(name)):
                yield f"{vpc.place}: {name} is off, so private DNS names of endpoints are not found"
    if not has_nat(plan):
        for name in INTERFACES:
            if not endpoints_for(plan, name):
                yield f"5-endpoints.yaml: no endpoint for {name}, and no NAT gateway"
    for name in INTERFACES:
        for endpoint in endpoints_for(plan, name):
            yield from unusable(plan, endpoint)


def unusable(plan: Plan, endpoint: Resource) -> Iterator[str]:
    """What keeps tasks from an interface endpoint."""
    if not is_on(endpoint.properties.get("PrivateDnsEnabled")):
        yield f"{endpoint.place}: PrivateDnsEnabled is off"
    firewall = Firewall(plan)
    groups = plan.group(plan.texts(endpoint.properties.get("SecurityGroupIds"), endpoint.template))
    for service in plan.all("AWS::ECS::Service"):
        sources = plan.security_groups_of(service)
        # The groups of one endpoint add up: one that is open is enough.
        closed = [list(firewall.closed(sources, group, 443)) for group in groups]
        if all(closed):
            yield from closed[0] if closed else [f"{endpoint.place}: no SecurityGroupIds that take port 443"]


def layers(plan: Plan) -> Iterator[str]:
    """An image's layers come from S3, whose gateway is a route."""
    if has_nat(plan):
        return
    gateways = endpoints_for(plan, "s3")
    if not gateways:
        yield "5-endpoints.yaml: no gateway endpoint for S3, where the image's layers are, and no NAT gateway"
    for gateway in gateways:
        tables = set(plan.texts(gateway.properties.get("RouteTableIds"), gateway.template))
        for service in plan.all("AWS::ECS::Service"):
            for table in sorted(route_tables_of(plan, service) - tables):
                yield f"{gateway.place}: RouteTableIds lacks {plan.resource(table).name}, the route table of the tasks' subnets"


def route_tables_of(plan: Plan, service: Resource) -> set[str]:
    """The route tables of the subnets in which a service runs, as references."""
    network = (service.properties.get("NetworkConfiguration") or {}).get("AwsvpcConfiguration") or {}
    subnets = plan.text(network.get("Subnets"), service.template)
    return {
        plan.text(it.properties["RouteTableId"], it.template)
        for it in plan.all("AWS::EC2::SubnetRouteTableAssociation")
        if plan.text(it.properties["SubnetId"], it.template) in subnets
    }


def pulling(plan: Plan) -> Iterator[str]:
    for task in plan.all("AWS::ECS::TaskDefinition"):
        role = role_of(plan, task, "ExecutionRoleArn")
        if not role:
            yield f"{task.place}: no ExecutionRoleArn"
            continue
        repositories = [
            f"arn:aws:ecr:{plan.region}:{plan.account}:repository/{plan.text(it.properties.get('RepositoryName'), it.template)}"
            for it in plan.all("AWS::ECR::Repository")
        ]
        for action in PULL_ACTIONS:
            targets = ["*"] if action == "ecr:GetAuthorizationToken" else [*repositories, "*"]
            if not role.allows(action, targets):
                yield f"{role.place}: no {action}"


def command_execution(plan: Plan) -> Iterator[Finding]:
    """26: where ECS exec is on, everything that it needs is there."""
    for service in plan.all("AWS::ECS::Service"):
        if is_on(service.properties.get("EnableExecuteCommand")):
            for container in plan.containers_of(service):
                for wrong in no_session(plan, container):
                    yield failed("exec_not_connected", wrong)


def no_session(plan: Plan, container: Container) -> Iterator[str]:
    role = role_of(plan, container.task, "TaskRoleArn")
    lacking = [action for action in EXEC_ACTIONS if not (role and role.allows(action))]
    if lacking:
        yield f"{role.place if role else container.task.place}: the task role lacks {', '.join(lacking)}"
    if is_on(container.definition.get("ReadonlyRootFilesystem")):
        yield f"{container.place}: ReadonlyRootFilesystem keeps the agent of ECS exec from starting"
    if not endpoints_for(plan, "ssmmessages") and not has_nat(plan):
        yield "5-endpoints.yaml: no endpoint for ssmmessages, and no NAT gateway"


def way_to_mail(plan: Plan) -> Iterator[Finding]:
    """29: mail by SES has a way there."""
    by_ses = any(container.environment.get("MAIL_TRANSPORT") == "ses" for container in plan.containers())
    if by_ses and not endpoints_for(plan, "email") and not has_nat(plan):
        yield failed(
            "mail_rejected", "5-endpoints.yaml: mail goes by SES, and there is no endpoint for email and no NAT gateway"
        )


def endpoints_for(plan: Plan, name: str) -> list[Resource]:
    return [
        endpoint
        for endpoint in plan.all("AWS::EC2::VPCEndpoint")
        if plan.text(endpoint.properties.get("ServiceName"), endpoint.template) == f"com.amazonaws.{plan.region}.{name}"
    ]


def has_nat(plan: Plan) -> bool:
    return bool(plan.all("AWS::EC2::NatGateway"))


def cycles(plan: Plan) -> Iterator[Finding]:
    """11: no resource of a stack needs itself first."""
    for template in plan.templates:
        needs = {name: needed_by(body, template) for name, body in template.resources.items()}
        if cycle := first_cycle(needs):
            yield failed("security_group_cycle", f"{template.file}: {' → '.join(cycle)}")


def needed_by(body: dict[str, Any], template: Template) -> list[str]:
    """The resources of the same template that must be there before this one."""
    depends = body.get("DependsOn") or []
    named = {depends} if isinstance(depends, str) else set(depends)
    named |= set(references(body.get("Properties")))
    return sorted(named & set(template.resources))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for function, argument in node.items():
            if function == "Ref":
                yield argument
            elif function == "Fn::GetAtt":
                yield argument[0]
            elif function == "Fn::Sub":
                text = argument if isinstance(argument, str) else argument[0]
                yield from (hole.split(".")[0] for hole in HOLE.findall(text))
                yield from references(argument)
            else:
                yield from references(argument)


def first_cycle(needs: dict[str, list[str]]) -> list[str] | None:
    """A way from something back to itself, as the names on it."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        for needed in needs[name]:
            if found := follow(needed, [*way, name]):
                return found
        done.add(name)
        return None

    return next((found for name in needs if (found := follow(name, []))), None)
