"""1: what tasks in private subnets need of AWS is there, and lets them in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..finding import Finding, failed
from ..network import INTERFACES, has_nat, route_tables_of
from .reading import Account


def doors(account: Account) -> Iterator[Finding]:
    """Endpoints, their groups, and the way to S3."""
    if "endpoints" not in account.stacks:
        return
    for network in account.plan.all("AWS::EC2::VPC"):
        vpc = account.physical(network.reference)
        answer = vpc and account.read("ec2", "describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={vpc}")
        for wrong in wrong_doors(account, answer.get("VpcEndpoints") or []) if answer else []:
            yield failed("resource_initialization", wrong)


def wrong_doors(account: Account, endpoints: list[dict[str, Any]]) -> Iterator[str]:
    region = account.plan.region
    for name in INTERFACES:
        found = [it for it in endpoints if it["ServiceName"] == f"com.amazonaws.{region}.{name}"]
        if not found and not has_nat(account.plan):
            yield f"there is no endpoint for {name} in the VPC, and no NAT gateway"
        for endpoint in found:
            yield from wrong_interface(account, name, endpoint)
    gateways = [
        it
        for it in endpoints
        if it["ServiceName"] == f"com.amazonaws.{region}.s3" and it["VpcEndpointType"] == "Gateway"
    ]
    if not gateways and not has_nat(account.plan):
        yield "there is no gateway endpoint for S3 in the VPC, and no NAT gateway"
    for gateway in gateways:
        yield from wrong_route(account, gateway)


def wrong_interface(account: Account, name: str, endpoint: dict[str, Any]) -> Iterator[str]:
    place = f"{endpoint['VpcEndpointId']} ({name})"
    if endpoint.get("State", "").lower() != "available":
        yield f"{place} is {endpoint.get('State')}, not available"
    if not endpoint.get("PrivateDnsEnabled"):
        yield f"{place}: private DNS is off"
    groups = [it["GroupId"] for it in endpoint.get("Groups") or []]
    answer = account.read("ec2", "describe-security-groups", "--group-ids", *groups) if groups else None
    rules = [rule for group in (answer or {}).get("SecurityGroups") or [] for rule in group.get("IpPermissions") or []]
    if answer and not any(takes(rule, task_groups(account)) for rule in rules):
        yield f"{place}: no rule of {', '.join(groups)} takes port 443 from the tasks"


def task_groups(account: Account) -> set[str | None]:
    """The tasks' security groups, by their ids in the account."""
    services = account.plan.all("AWS::ECS::Service")
    return {
        account.physical(group.reference) for service in services for group in account.plan.security_groups_of(service)
    }


def takes(rule: dict[str, Any], groups: set[str | None]) -> bool:
    """Whether a rule takes port 443 from one of these groups, or from a network."""
    is_open = rule.get("IpProtocol") == "-1" or rule.get("FromPort", 0) <= 443 <= rule.get("ToPort", 0)
    from_groups = {pair.get("GroupId") for pair in rule.get("UserIdGroupPairs") or []}
    return is_open and bool(from_groups & groups or rule.get("IpRanges"))


def wrong_route(account: Account, gateway: dict[str, Any]) -> Iterator[str]:
    tables = set(gateway.get("RouteTableIds") or [])
    for service in account.plan.all("AWS::ECS::Service"):
        for reference in sorted(route_tables_of(account.plan, service)):
            table = account.physical(reference)
            if table and table not in tables:
                yield f"{gateway['VpcEndpointId']} (s3): {table}, the route table of the tasks' subnets, has no route to it"


def prefix_list(account: Account) -> Iterator[Finding]:
    """The list of S3's addresses differs between regions; with another region's no layer comes through."""
    given = account.plan.parameters.values.get("S3PrefixListId")
    name = f"com.amazonaws.{account.plan.region}.s3"
    answer = account.read("ec2", "describe-managed-prefix-lists", "--filters", f"Name=prefix-list-name,Values={name}")
    known = [it["PrefixListId"] for it in (answer or {}).get("PrefixLists") or []]
    if given and known and given not in known:
        yield failed(
            "resource_initialization",
            f"S3PrefixListId is {given}, and {name} is {known[0]}: the tasks' security group closes the way to S3",
        )
