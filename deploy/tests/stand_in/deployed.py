"""All stacks of an environment, made on the stand-in by the deploying command's own code and the real aws CLI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from aidlc_deploy import up
from aidlc_deploy.aws import Aws
from aidlc_deploy.deployment import Deployment, load
from aidlc_deploy.patience import Patience
from aidlc_deploy.templates import Parameters

DEPLOY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Deployed:
    """An environment whose stacks are there."""

    deployment: Deployment

    @property
    def aws(self) -> Aws:
        return self.deployment.aws

    def resources(self, name: str) -> dict[str, str]:
        """Type by logical name of what a stack holds, as CloudFormation says."""
        found = self.client("cloudformation").describe_stack_resources(StackName=self.deployment.stack(name).name)
        return {one["LogicalResourceId"]: one["ResourceType"] for one in found["StackResources"]}

    def exports(self) -> dict[str, str]:
        """Value by name of everything that the account exports."""
        found = self.client("cloudformation").list_exports()["Exports"]
        return {one["Name"]: one["Value"] for one in found}

    def task_definition(self) -> dict:
        """The newest task definition as ECS has it: the exact environment and secrets of a task."""
        name = self.deployment.stack("service").output("TaskDefinitionArn")
        return self.client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]

    def client(self, service: str) -> Any:
        """For looking: a start of the aws CLI for each question would take the most of a test's time.

        And `aws rds` of version 1 does not honour AWS_ENDPOINT_URL: it needs --endpoint-url.
        """
        return boto3.client(service, region_name=self.aws.region)

    def release(self, tag: str) -> str:
        """Registers and runs another image, as `up` does; answers the task definition."""
        up.register(self.deployment, tag)
        up.roll(self.deployment)
        return self.deployment.stack("service").output("TaskDefinitionArn")


def deploy(environment: str, root: Path = DEPLOY, tag: str = "1", wait_secs: float = 60) -> Deployed:
    """Makes every stack in order. Only what runs is left out: the image, the migration, the wait for tasks."""
    templates, parameters = load(root, environment)
    aws = Aws(parameters.region)
    deployment = Deployment(
        environment=environment,
        root=root,
        aws=aws,
        patience=Patience(poll_secs=0.1, limit_secs=wait_secs),
        templates=templates,
        parameters=with_certificate(parameters, aws),
        language="en",
        assume_yes=True,
    )
    deployed = Deployed(deployment)
    for template in templates:
        if template.name == "service":
            deployed.release(tag)
        elif template.name == "monitoring":
            # No SNS is here that would have to reach the service.
            up.deploy(deployment, template, MailSubscription="true")
        else:
            up.deploy(deployment, template)
    return deployed


def with_certificate(parameters: Parameters, aws: Aws) -> Parameters:
    """With a certificate that this account has, where the file names the one of an account that is not here."""
    if not parameters.values.get("CertificateArn"):
        return parameters
    host = parameters.values["PublicUrl"].removeprefix("https://")
    made = aws.call("acm", "request-certificate", "--domain-name", host, "--validation-method", "DNS")
    return replace(parameters, values={**parameters.values, "CertificateArn": made["CertificateArn"]})


@contextmanager
def reached(server: Mapping[str, str]) -> Iterator[None]:
    """Lets the aws CLI of this Python's folder find the stand-in, and nothing else."""
    before = dict(os.environ)
    os.environ.update(server)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before.get('PATH', '')}"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
