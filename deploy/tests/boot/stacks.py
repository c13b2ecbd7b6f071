"""The eight stacks, made on the stand-in by the deploying command's own code and the real aws command line."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from stand_in.deployed import Deployed, deploy, reached
from stand_in.server import HOST, running

from account import Account

DEPLOY = Path(__file__).resolve().parents[2]


class Stacks:
    """An environment's stacks, and the account that they are in."""

    def __init__(self, folder: Path, environment: str) -> None:
        folder.mkdir()
        self.environment = environment
        self.running = ExitStack()
        server = self.running.enter_context(running(folder / "stand-in.log"))
        self.endpoint = server["AWS_ENDPOINT_URL"]
        self.address = HOST, int(self.endpoint.rpartition(":")[2])
        self.running.enter_context(reached(server))

    def up(self, tag: str) -> Account:
        self.deployed: Deployed = deploy(self.environment, tag=tag)
        return Account(self.endpoint, self.deployed.aws.region, self.environment)

    @property
    def parameters(self) -> dict[str, str]:
        return self.deployed.deployment.parameters.values

    def task_definition(self) -> str:
        return self.deployed.deployment.stack("service").output("TaskDefinitionArn")

    def release(self, tag: str) -> str:
        """Registers another revision and rolls the service to it; gives its name."""
        return self.deployed.release(tag)

    def everything_told(self, account: Account) -> dict[str, bytes]:
        """What people and AWS's console are shown of the stacks."""
        told = {f"template: {path.name}": path.read_bytes() for path in (DEPLOY / "cloudformation").iterdir()}
        told |= {f"parameters: {path.name}": path.read_bytes() for path in (DEPLOY / "params").iterdir()}
        client = account.client("cloudformation")
        for stack in self.deployed.deployment.stacks():
            for look in (
                client.describe_stacks, client.describe_stack_events, client.describe_stack_resources, client.get_template
            ):
                answer = json.dumps(look(StackName=stack.name), ensure_ascii=False, default=str)
                told[f"stack: {stack.name}, {look.__name__}"] = answer.encode()
        return told

    def stop(self) -> None:
        self.running.close()
