"""The resource types that moto's CloudFormation lacks, or of which it keeps too little.

Each is made by the service's own public API, at this same server. Properties are matched with the API's
parameters by name, so that a property that the API does not have is refused and not lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.core.common_models import CloudFormationModel

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """A resource that exists: what `Ref` answers, and what `Fn::GetAtt` does."""

    reference: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a resource is made: the region, and the name that CloudFormation would give it."""

    endpoint: str
    region: str
    name: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id="stand-in",
            aws_secret_access_key="stand-in",
        )

    def call(self, service: str, operation: str, properties: Properties) -> dict[str, Any]:
        """Calls an operation with properties as a template has them: any case, numbers and booleans as text."""
        client = self.client(service)
        shape = client.meta.service_model.operation_model(operation).input_shape
        method = next(name for name, known in client.meta.method_to_api_mapping.items() if known == operation)
        return getattr(client, method)(**_shaped(shape, dict(properties), operation))


Make = Callable[[Place, Properties], Made]
Change = Callable[[Place, Properties, Made], Made]
Remove = Callable[[Place, Made], None]


def define_all(endpoint: str) -> None:
    """Makes moto know every type of this file."""
    define = lambda kind, make, change=None, remove=None: _define(endpoint, kind, make, change, remove)
    define("AWS::SecretsManager::Secret", make_secret, unchanged, remove_secret)
    define("AWS::RDS::DBInstance", make_database, change_database, remove_database)
    define("AWS::ElastiCache::SubnetGroup", make_cache_subnets)
    define("AWS::ElastiCache::ParameterGroup", make_cache_parameters)
    define("AWS::ElastiCache::ReplicationGroup", make_cache, unchanged, remove_cache)
    define("AWS::EC2::SecurityGroupEgress", make_egress)
    define("AWS::IAM::RolePolicy", make_role_policy)
    define("AWS::ECS::TaskDefinition", make_task_definition)
    define("AWS::ECS::Service", make_service, change_service, remove_service)
    define("AWS::ApplicationAutoScaling::ScalableTarget", make_scalable_target)
    define("AWS::ApplicationAutoScaling::ScalingPolicy", make_scaling_policy)
    define("AWS::CloudWatch::Alarm", make_alarm)
    define("AWS::Logs::MetricFilter", make_metric_filter)
    define("AWS::SES::ConfigurationSet", make_configuration_set, unchanged, remove_configuration_set)
    define("AWS::SES::ConfigurationSetEventDestination", make_event_destination)
    define("AWS::SNS::Subscription", make_subscription)
    define("AWS::SNS::TopicPolicy", make_topic_policy)
    define("AWS::WAFv2::WebACL", make_firewall, unchanged, remove_firewall)
    define("AWS::WAFv2::WebACLAssociation", make_firewall_association)


def unchanged(place: Place, properties: Properties, made: Made) -> Made:
    """For what keeps its identity and contents through an update; nothing here looks at the rest."""
    return made


def make_secret(place: Place, properties: Properties) -> Made:
    own = dict(properties)
    generated = own.pop("GenerateSecretString", None)
    if generated is not None:
        generated = dict(generated)
        template, key = generated.pop("SecretStringTemplate", None), generated.pop("GenerateStringKey", None)
        word = place.call("secretsmanager", "GetRandomPassword", generated)["RandomPassword"]
        own["SecretString"] = json.dumps({**json.loads(template), key: word}) if key else word
    made = place.call("secretsmanager", "CreateSecret", {"Name": place.name, **own})
    return Made(made["ARN"], {"Id": made["ARN"]})


def remove_secret(place: Place, made: Made) -> None:
    place.client("secretsmanager").delete_secret(SecretId=made.reference, ForceDeleteWithoutRecovery=True)


def make_database(place: Place, properties: Properties) -> Made:
    own = dict(properties)
    own.pop("AllowMajorVersionUpgrade", None)  # of changes only
    key = own.pop("MasterUserSecret", {}).get("KmsKeyId")
    own["VpcSecurityGroupIds"] = own.pop("VPCSecurityGroups", [])
    if key:
        own["MasterUserSecretKmsKeyId"] = key
    made = place.call("rds", "CreateDBInstance", own)["DBInstance"]
    attributes = {"Endpoint.Address": made["Endpoint"]["Address"], "Endpoint.Port": str(made["Endpoint"]["Port"])}
    if "MasterUserSecret" in made:
        secret = made["MasterUserSecret"]["SecretArn"]
        attributes["MasterUserSecret.SecretArn"] = secret
        # As RDS writes it: the user that was named, and 28 characters of any kind that it may have.
        secrets = place.client("secretsmanager")
        word = secrets.get_random_password(PasswordLength=28, ExcludeCharacters='/@" ')["RandomPassword"]
        text = json.dumps({"username": own["MasterUsername"], "password": word})
        secrets.put_secret_value(SecretId=secret, SecretString=text)
    return Made(made["DBInstanceIdentifier"], attributes)


def change_database(place: Place, properties: Properties, made: Made) -> Made:
    changed = {"DBInstanceIdentifier": made.reference, "ApplyImmediately": True}
    kept = ("DBInstanceClass", "AllocatedStorage", "BackupRetentionPeriod", "MultiAZ", "DeletionProtection")
    for name in (*kept, "EngineVersion", "AllowMajorVersionUpgrade", "DBParameterGroupName"):
        changed[name] = properties[name]
    place.call("rds", "ModifyDBInstance", changed)
    return made


def remove_database(place: Place, made: Made) -> None:
    # What `DeletionPolicy: Snapshot` leaves behind.
    place.client("rds").delete_db_instance(
        DBInstanceIdentifier=made.reference, FinalDBSnapshotIdentifier=f"{place.name.lower()}-final"
    )


def make_cache_subnets(place: Place, properties: Properties) -> Made:
    own = dict(properties)
    name = own.pop("CacheSubnetGroupName", place.name.lower())
    own["CacheSubnetGroupDescription"] = own.pop("Description")
    place.call("elasticache", "CreateCacheSubnetGroup", {"CacheSubnetGroupName": name, **own})
    return Made(name)


def make_cache_parameters(place: Place, properties: Properties) -> Made:
    # moto has no parameter groups of ElastiCache. What is left to check is that AWS's API would take it.
    own = {name: properties[name] for name in ("Description", "CacheParameterGroupFamily")}
    _check(place, "elasticache", "CreateCacheParameterGroup", {"CacheParameterGroupName": place.name.lower(), **own})
    return Made(place.name.lower())


def make_cache(place: Place, properties: Properties) -> Made:
    made = place.call("elasticache", "CreateReplicationGroup", properties)["ReplicationGroup"]
    identifier = made["ReplicationGroupId"]
    address = f"master.{identifier}.stand-in.cache.amazonaws.com"
    return Made(identifier, {"PrimaryEndPoint.Address": address, "PrimaryEndPoint.Port": str(properties["Port"])})


def remove_cache(place: Place, made: Made) -> None:
    place.client("elasticache").delete_replication_group(ReplicationGroupId=made.reference)


def make_egress(place: Place, properties: Properties) -> Made:
    rule = {"IpProtocol": properties["IpProtocol"], "FromPort": properties["FromPort"], "ToPort": properties["ToPort"]}
    said = {"Description": properties.get("Description", "")}
    if "CidrIp" in properties:
        rule["IpRanges"] = [{"CidrIp": properties["CidrIp"], **said}]
    elif "DestinationPrefixListId" in properties:
        rule["PrefixListIds"] = [{"PrefixListId": properties["DestinationPrefixListId"], **said}]
    else:
        rule["UserIdGroupPairs"] = [{"GroupId": properties["DestinationSecurityGroupId"], **said}]
    place.call("ec2", "AuthorizeSecurityGroupEgress", {"GroupId": properties["GroupId"], "IpPermissions": [rule]})
    return Made(place.name)


def make_role_policy(place: Place, properties: Properties) -> Made:
    own = {**properties, "PolicyDocument": json.dumps(properties["PolicyDocument"])}
    place.call("iam", "PutRolePolicy", own)
    return Made(f"{properties['RoleName']}|{properties['PolicyName']}")


def make_task_definition(place: Place, properties: Properties) -> Made:
    """A new revision each time; the one before stays, as `UpdateReplacePolicy: Retain` asks."""
    made = place.call("ecs", "RegisterTaskDefinition", properties)["taskDefinition"]
    return Made(made["taskDefinitionArn"], {"TaskDefinitionArn": made["taskDefinitionArn"]})


def make_service(place: Place, properties: Properties) -> Made:
    refuse_rebalancing(properties)
    # CloudFormation's own default where auto scaling is to own the number.
    made = place.call("ecs", "CreateService", {"DesiredCount": 1, **properties})["service"]
    return Made(made["serviceArn"], {"Name": made["serviceName"], "ServiceArn": made["serviceArn"]})


def change_service(place: Place, properties: Properties, made: Made) -> Made:
    refuse_rebalancing(properties)
    kept = ("Cluster", "TaskDefinition", "DeploymentConfiguration", "HealthCheckGracePeriodSeconds", "EnableExecuteCommand")
    own = {name: properties[name] for name in (*kept, "DesiredCount", "AvailabilityZoneRebalancing") if name in properties}
    place.call("ecs", "UpdateService", {"Service": properties["ServiceName"], **own})
    return made


def refuse_rebalancing(properties: Properties) -> None:
    """As ECS does, and moto does not: the new task could not start before the old one ends."""
    maximum = int(properties["DeploymentConfiguration"]["MaximumPercent"])
    if properties.get("AvailabilityZoneRebalancing") == "ENABLED" and maximum <= 100:
        raise ValueError("AvailabilityZoneRebalancing cannot be ENABLED with a MaximumPercent of 100 or less")


def remove_service(place: Place, made: Made) -> None:
    _, cluster, service = made.reference.split("/")
    place.client("ecs").delete_service(cluster=cluster, service=service, force=True)


def make_scalable_target(place: Place, properties: Properties) -> Made:
    place.call("application-autoscaling", "RegisterScalableTarget", properties)
    return Made("|".join(properties[name] for name in ("ResourceId", "ScalableDimension", "ServiceNamespace")))


def make_scaling_policy(place: Place, properties: Properties) -> Made:
    own = dict(properties)
    resource, dimension, namespace = own.pop("ScalingTargetId").split("|")
    target = {"ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}
    return Made(place.call("application-autoscaling", "PutScalingPolicy", {**own, **target})["PolicyARN"])


def make_alarm(place: Place, properties: Properties) -> Made:
    own = {"AlarmName": place.name, **properties}
    place.call("cloudwatch", "PutMetricAlarm", own)
    return Made(own["AlarmName"])


def make_metric_filter(place: Place, properties: Properties) -> Made:
    own = {"FilterName": place.name, **properties}
    place.call("logs", "PutMetricFilter", own)
    return Made(own["FilterName"])


def make_configuration_set(place: Place, properties: Properties) -> Made:
    name = properties.get("Name", place.name)
    place.call("sesv2", "CreateConfigurationSet", {"ConfigurationSetName": name})
    return Made(name)


def remove_configuration_set(place: Place, made: Made) -> None:
    place.client("sesv2").delete_configuration_set(ConfigurationSetName=made.reference)


def make_event_destination(place: Place, properties: Properties) -> Made:
    # moto has no event destinations. The set must exist, and AWS's API must take the rest.
    place.client("sesv2").get_configuration_set(ConfigurationSetName=properties["ConfigurationSetName"])
    own = dict(properties["EventDestination"])
    name = own.pop("Name")
    own["MatchingEventTypes"] = [kind.upper() for kind in own["MatchingEventTypes"]]
    wanted = {"EventDestinationName": name, "EventDestination": own}
    _check(place, "sesv2", "CreateConfigurationSetEventDestination", {**properties, **wanted})
    return Made(name)


def make_subscription(place: Place, properties: Properties) -> Made:
    own = {name: properties[name] for name in ("TopicArn", "Protocol", "Endpoint")}
    more = {name: str(value).lower() for name, value in properties.items() if name not in own}
    made = place.call("sns", "Subscribe", {**own, "Attributes": more, "ReturnSubscriptionArn": True})
    return Made(made["SubscriptionArn"])


def make_topic_policy(place: Place, properties: Properties) -> Made:
    policy = json.dumps(properties["PolicyDocument"])
    for topic in properties["Topics"]:
        wanted = {"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": policy}
        place.call("sns", "SetTopicAttributes", wanted)
    return Made(place.name)


def make_firewall(place: Place, properties: Properties) -> Made:
    made = place.call("wafv2", "CreateWebACL", properties)["Summary"]
    return Made(f"{made['Name']}|{made['Id']}|{properties['Scope']}", {"Arn": made["ARN"], "Id": made["Id"]})


def remove_firewall(place: Place, made: Made) -> None:
    name, identifier, scope = made.reference.split("|")
    found = place.client("wafv2").get_web_acl(Name=name, Id=identifier, Scope=scope)
    place.client("wafv2").delete_web_acl(Name=name, Id=identifier, Scope=scope, LockToken=found["LockToken"])


def make_firewall_association(place: Place, properties: Properties) -> Made:
    place.call("wafv2", "AssociateWebACL", properties)
    return Made(f"{properties['WebACLArn']}|{properties['ResourceArn']}")


def _check(place: Place, service: str, operation: str, properties: Properties) -> None:
    """That AWS's API has every one of these parameters."""
    model = place.client(service).meta.service_model.operation_model(operation)
    _shaped(model.input_shape, dict(properties), operation)


def _shaped(shape: Any, value: Any, where: str) -> Any:
    """`value` as the API's `shape` wants it: its own case of names, numbers, booleans and bytes."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        names = {name.lower(): name for name in shape.members}
        unknown = [name for name in value if name.lower() not in names]
        if unknown:
            raise ValueError(f"{where} has no {', '.join(unknown)}")
        return {
            names[name.lower()]: _shaped(shape.members[names[name.lower()]], item, f"{where}.{name}")
            for name, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_shaped(shape.member, item, where) for item in value]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {name: _shaped(shape.value, item, where) for name, item in value.items()}
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name in ("float", "double"):
        return float(value)
    if shape.type_name == "blob":
        return str(value).encode()
    if shape.type_name == "string" and not isinstance(value, (Mapping, list)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    raise ValueError(f"{where} is no {shape.type_name}")


def _define(endpoint: str, kind: str, make: Make, change: Change | None, remove: Remove | None) -> None:
    """A class as moto wants it. Without `change`, a change makes the resource anew, which replaces it."""

    class Resource(CloudFormationModel):
        __module__ = "moto.stand_in.models"  # moto reads a service's name out of this

        def __init__(self, place: Place, made: Made) -> None:
            self.place, self.made = place, made

        @property
        def physical_resource_id(self) -> str:
            return self.made.reference

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @classmethod
        def has_cfn_attr(cls, attribute: str) -> bool:
            return True  # `get_cfn_attribute` refuses what there is not

        def get_cfn_attribute(self, attribute: str) -> str:
            if attribute not in self.made.attributes:
                raise ValueError(f"{kind} has no attribute {attribute}")
            return self.made.attributes[attribute]

        def is_created(self) -> bool:
            return True

        @classmethod
        def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
            place = Place(endpoint, region_name, resource_name)
            return cls(place, make(place, cloudformation_json["Properties"]))

        @classmethod
        def update_from_cloudformation_json(
            cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
        ):
            place, properties = original_resource.place, cloudformation_json["Properties"]
            return cls(place, change(place, properties, original_resource.made) if change else make(place, properties))

        def delete(self, account_id: str, region_name: str) -> None:
            if remove:
                remove(self.place, self.made)

    Resource.__name__ = kind.replace("::", "")
    _DEFINED.append(Resource)


_DEFINED: list[type[CloudFormationModel]] = []  # moto finds classes by their base, which holds them weakly
