"""The protection from deletion, of the database and the load balancer: looked up by the names that the templates fix.

A stack that never was complete has no outputs, and may have left either behind.
"""

from __future__ import annotations

from .aws import AwsError
from .deployment import Deployment
from .templates import Template


def lift(deployment: Deployment, template: Template) -> None:
    """Lets what a stack that never was complete left behind be deleted with it."""
    if template.of_type("AWS::RDS::DBInstance"):
        lift_of_database(deployment)
    if template.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        lift_of_balancer(deployment)


def is_database_protected(deployment: Deployment) -> bool:
    arguments = ["--db-instance-identifier", deployment.database]
    try:
        answer = deployment.aws.call("rds", "describe-db-instances", *arguments)
    except AwsError as error:
        if error.code in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return False
        raise
    return any(instance.get("DeletionProtection") for instance in answer.get("DBInstances", []))


def protected_balancer(deployment: Deployment) -> str | None:
    """The ARN of the load balancer, None if it is not protected or not there."""
    try:
        answer = deployment.aws.call("elbv2", "describe-load-balancers", "--names", deployment.balancer)
    except AwsError as error:
        if error.code in ("LoadBalancerNotFound", "LoadBalancerNotFoundException"):
            return None
        raise
    for balancer in answer.get("LoadBalancers", []):
        arn = balancer["LoadBalancerArn"]
        answer = deployment.aws.call("elbv2", "describe-load-balancer-attributes", "--load-balancer-arn", arn)
        if {"Key": "deletion_protection.enabled", "Value": "true"} in answer.get("Attributes", []):
            return arn
    return None


def lift_of_database(deployment: Deployment) -> None:
    """RDS takes it while an instance is available alone, and does it a moment later."""
    if not is_database_protected(deployment):
        return
    deployment.say(f"{deployment.database}: the database never was in use: its deletion protection is lifted")
    arguments = ["--db-instance-identifier", deployment.database, "--no-deletion-protection", "--apply-immediately"]

    def is_lifted() -> bool | None:
        try:
            deployment.aws.call("rds", "modify-db-instance", *arguments)
        except AwsError as error:
            if error.code not in ("InvalidDBInstanceState", "InvalidDBInstanceStateFault"):
                raise
        return True if deployment.is_dry or not is_database_protected(deployment) else None

    deployment.patience.until(deployment.database, is_lifted)


def lift_of_balancer(deployment: Deployment) -> None:
    arn = protected_balancer(deployment)
    if not arn:
        return
    deployment.say(f"{deployment.balancer}: the load balancer never was in use: its deletion protection is lifted")
    arguments = ["--load-balancer-arn", arn, "--attributes", "Key=deletion_protection.enabled,Value=false"]
    deployment.aws.call("elbv2", "modify-load-balancer-attributes", *arguments)
