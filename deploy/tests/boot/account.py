"""What the eight stacks made, as AWS describes it: the task definition, and what ECS makes of it for a task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3

from servers import RoleCredentials
from task import Size
from vpc import CREDENTIALS


@dataclass
class Account:
    """An AWS account, or what stands in for it at an endpoint."""

    endpoint: str
    region: str
    environment: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name=self.region, endpoint_url=self.endpoint,
            aws_access_key_id="boot", aws_secret_access_key="boot",
        )

    def output(self, stack: str, key: str) -> str:
        outputs = self._stack(stack)["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}[key]

    def parameter(self, stack: str, key: str) -> str:
        given = self._stack(stack)["Parameters"]
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in given}[key]

    def _stack(self, stack: str) -> dict[str, Any]:
        name = f"{self.environment}-aidlc-auth-{stack}"
        return self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    def definition(self, arn: str) -> Definition:
        described = self.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
        return Definition(self, described)

    def secret(self, value_from: str) -> str:
        """What ECS makes of `arn[:key[:stage[:version]]]`."""
        parts = value_from.split(":")
        arn, (key, stage, version) = ":".join(parts[:7]), (parts[7:] + ["", "", ""])[:3]
        asked = {"SecretId": arn}
        if stage:
            asked["VersionStage"] = stage
        if version:
            asked["VersionId"] = version
        text = self.client("secretsmanager").get_secret_value(**asked)["SecretString"]
        return json.loads(text)[key] if key else text

    def secrets(self) -> list[str]:
        """Everything secret there is, each value by itself."""
        client, found = self.client("secretsmanager"), []
        for secret in client.list_secrets()["SecretList"]:
            text = client.get_secret_value(SecretId=secret["ARN"])["SecretString"]
            try:
                values = json.loads(text)
            except ValueError:
                values = text
            found += values.values() if isinstance(values, dict) else [values]
        # A user's name or a port is in such an object too, and is none.
        return [value for value in found if isinstance(value, str) and len(value) >= 12]

    def health_check(self) -> dict[str, Any]:
        arn = self.output("service", "TargetGroupArn")
        return self.client("elbv2").describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]


@dataclass
class Definition:
    """A revision of the task definition."""

    account: Account
    described: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        (only,) = self.described["containerDefinitions"]
        return only

    @property
    def size(self) -> Size:
        return Size(int(self.described["cpu"]), int(self.described["memory"]))

    @property
    def stop_timeout(self) -> int:
        return self.container["stopTimeout"]

    def plain(self) -> dict[str, str]:
        return {each["name"]: each["value"] for each in self.container["environment"]}

    def secret(self) -> dict[str, str]:
        return {each["name"]: self.account.secret(each["valueFrom"]) for each in self.container["secrets"]}

    def environment(self) -> dict[str, str]:
        """The variables that a container of Fargate finds: those of the definition, and ECS's own."""
        return {
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": RoleCredentials.PATH,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": self.account.region,
            "ECS_CONTAINER_METADATA_URI_V4": f"http://{CREDENTIALS}/v4/boot",
            **self.plain(),
            **self.secret(),
        }
