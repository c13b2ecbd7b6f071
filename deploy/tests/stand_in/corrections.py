"""Where moto has a resource type, and answers a reference to it otherwise than AWS does."""

from __future__ import annotations

from typing import Any

import moto.elbv2.models as elbv2
import moto.rds.models as rds


def install() -> None:
    # `!Ref` of these is their name; moto hands the object itself on.
    rds.DBParameterGroup.physical_resource_id = property(lambda group: group.name)
    rds.DBSubnetGroup.physical_resource_id = property(lambda group: group.name)
    _add_attribute(elbv2.FakeLoadBalancer, "LoadBalancerFullName", lambda balancer: balancer.arn.split("loadbalancer/")[1])
    _add_attribute(elbv2.FakeTargetGroup, "TargetGroupFullName", lambda group: group.arn.split(":")[-1])


def _add_attribute(model: Any, name: str, value_of: Any) -> None:
    """Adds an attribute for `Fn::GetAtt`."""
    known, has = getattr(model, "get_cfn_attribute", None), model.has_cfn_attr
    model.get_cfn_attribute = lambda self, asked: value_of(self) if asked == name else known(self, asked)
    model.has_cfn_attr = classmethod(lambda cls, asked: asked == name or has(asked))
