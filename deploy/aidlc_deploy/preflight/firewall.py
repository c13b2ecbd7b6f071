"""Which way is open between security groups, by the templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .plan import Plan, Resource

# Whatever lies in the network, us included.
EVERYONE = "0.0.0.0/0"


class Firewall:
    """All rules of all security groups, inside their definitions and beside them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.networks = {EVERYONE, *(vpc.reference.replace("}", ".CidrBlock}") for vpc in plan.all("AWS::EC2::VPC"))}
        self.networks |= {str(vpc.properties.get("CidrBlock")) for vpc in plan.all("AWS::EC2::VPC")}

    def closed(self, sources: Iterable[Resource], target: Resource, port: int) -> Iterator[str]:
        """What keeps one of the sources from this port of the target; nothing, if the way is open."""
        for source in sources:
            if not self.lets_in(target, source, port):
                yield f"{target.place}: no rule takes port {port} from {source.name}"
            if not self.lets_out(source, target, port):
                yield f"{source.place}: no rule lets it out to port {port} of {target.name}"

    def lets_in(self, target: Resource, source: Resource, port: int) -> bool:
        return self.opens(self.rules(target, "Ingress"), source, port, "Source")

    def lets_out(self, source: Resource, target: Resource, port: int) -> bool:
        rules = self.rules(source, "Egress")
        # Without any rule AWS allows everything out.
        return not rules or self.opens(rules, target, port, "Destination")

    def opens(self, rules: list[tuple[Resource, dict[str, Any]]], other: Resource, port: int, end: str) -> bool:
        for holder, rule in rules:
            named = self.plan.texts([rule.get("CidrIp"), rule.get(f"{end}SecurityGroupId")], holder.template)
            if has_port(rule, port) and ({other.reference} | self.networks) & set(named):
                return True
        return False

    def rules(self, group: Resource, direction: str) -> list[tuple[Resource, dict[str, Any]]]:
        """The rules of a group, each with the resource that holds it."""
        inside = [(group, rule) for rule in group.properties.get(f"SecurityGroup{direction}") or []]
        beside = [
            (rule, rule.properties)
            for rule in self.plan.all(f"AWS::EC2::SecurityGroup{direction}")
            if self.plan.text(rule.properties.get("GroupId"), rule.template) == group.reference
        ]
        return inside + beside


def has_port(rule: dict[str, Any], port: int) -> bool:
    if str(rule.get("IpProtocol")) == "-1":
        return True
    return int(rule.get("FromPort", -1)) <= port <= int(rule.get("ToPort", -1))
