"""The stand-in refuses what AWS refuses, where plain moto would say that all is well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from stand_in.server import running

TOPIC = {"Type": "AWS::SNS::Topic"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running(tmp_path_factory.mktemp("stand-in") / "log") as environment:
        yield environment


class World:
    """Stacks by name, all gone when a test ends."""

    def __init__(self, server: dict[str, str]) -> None:
        self.server = server
        self.stacks = self.client("cloudformation")
        self.made: list[str] = []

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.server["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="stand-in",
            aws_secret_access_key="stand-in",
        )

    def create(self, name: str, template: dict[str, Any], **parameters: str) -> str:
        """Answers the status that the stack comes to."""
        self.stacks.create_stack(**self.wanted(name, template, parameters))
        self.made.append(name)
        return self.status(name)

    def update(self, name: str, template: dict[str, Any], **parameters: str) -> str:
        self.stacks.update_stack(**self.wanted(name, template, parameters))
        return self.status(name)

    def wanted(self, name: str, template: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        return {"StackName": name, "TemplateBody": json.dumps(template), "Parameters": given}

    def status(self, name: str) -> str:
        return self.stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]

    def reasons(self, name: str) -> str:
        events = self.stacks.describe_stack_events(StackName=name)["StackEvents"]
        return " / ".join(event.get("ResourceStatusReason", "") for event in events)

    def resources(self, name: str) -> set[str]:
        found = self.stacks.describe_stack_resources(StackName=name)["StackResources"]
        return {resource["LogicalResourceId"] for resource in found}


@pytest.fixture
def world(server: dict[str, str]) -> Iterator[World]:
    world = World(server)
    yield world
    for name in reversed(world.made):
        world.stacks.delete_stack(StackName=name)


def exporting(name: str, value: Any) -> dict[str, Any]:
    return {"Resources": {"Topic": TOPIC}, "Outputs": {"Out": {"Value": value, "Export": {"Name": name}}}}


def importing(name: str) -> dict[str, Any]:
    return {"Resources": {"Topic": {**TOPIC, "Properties": {"DisplayName": {"Fn::ImportValue": name}}}}}


def test_an_unknown_type_fails_the_stack(world: World) -> None:
    assert world.create("a", {"Resources": {"New": {"Type": "AWS::New::Thing"}}}) == "ROLLBACK_COMPLETE"
    assert "AWS::New::Thing" in world.reasons("a")


def test_an_unknown_property_fails_the_stack(world: World) -> None:
    filter = {"LogGroupName": "g", "FilterPattern": "x", "MetricTransformations": [], "Patern": "x"}
    assert world.create("a", {"Resources": {"F": {"Type": "AWS::Logs::MetricFilter", "Properties": filter}}}) == "ROLLBACK_COMPLETE"
    assert "Patern" in world.reasons("a")


def test_a_failed_stack_leaves_nothing_and_can_only_be_deleted(world: World) -> None:
    broken = {"Resources": {"Topic": {**TOPIC, "Properties": {"TopicName": "left-over"}}, "New": {"Type": "AWS::New::Thing"}}}
    assert world.create("a", broken) == "ROLLBACK_COMPLETE"
    assert world.resources("a") == set()
    assert not any("left-over" in topic["TopicArn"] for topic in world.client("sns").list_topics()["Topics"])

    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        world.update("a", {"Resources": {"Topic": TOPIC}})

    world.stacks.delete_stack(StackName="a")
    assert world.create("a", {"Resources": {"Topic": TOPIC}}) == "CREATE_COMPLETE"


def test_an_import_needs_its_export(world: World) -> None:
    assert world.create("b", importing("x")) == "ROLLBACK_COMPLETE"
    assert "No export named x found" in world.reasons("b")


def test_an_export_belongs_to_one_stack(world: World) -> None:
    assert world.create("a", exporting("x", "1")) == "CREATE_COMPLETE"
    assert world.create("b", exporting("x", "2")) == "ROLLBACK_COMPLETE"
    assert "Export with name x is already exported by stack a" in world.reasons("b")


def test_an_export_in_use_neither_changes_nor_goes(world: World) -> None:
    world.create("a", exporting("x", "1"))
    world.create("b", importing("x"))

    with pytest.raises(ClientError, match="Export x cannot be deleted as it is in use by b"):
        world.stacks.delete_stack(StackName="a")
    assert world.update("a", exporting("x", "2")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Export x cannot be updated as it is in use by b" in world.reasons("a")
    assert world.update("a", exporting("y", "1")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Export x cannot be deleted as it is in use by b" in world.reasons("a")
    exports = world.stacks.list_exports()["Exports"]
    assert [(export["Name"], export["Value"]) for export in exports] == [("x", "1")]

    world.stacks.delete_stack(StackName="b")
    assert world.update("a", exporting("x", "2")) == "UPDATE_COMPLETE"


def test_parameters_are_checked_before_anything_is_made(world: World) -> None:
    template = {"Parameters": {"Size": {"Type": "String", "AllowedValues": ["small"]}}, "Resources": {"Topic": TOPIC}}
    for given, message in (({}, "Size is not given"), ({"Size": "large"}, "Size is none of small"), ({"Size": "small", "Colour": "red"}, "Colour")):
        with pytest.raises(ClientError, match=message):
            world.create("a", template, **given)
    assert world.create("a", template, Size="small") == "CREATE_COMPLETE"


def test_a_condition_adds_and_removes_its_resource(world: World) -> None:
    template = {
        "Parameters": {"More": {"Type": "String"}},
        "Conditions": {"HasMore": {"Fn::Equals": [{"Ref": "More"}, "true"]}},
        "Resources": {"Topic": TOPIC, "Other": {**TOPIC, "Condition": "HasMore"}},
    }
    world.create("a", template, More="false")
    assert world.resources("a") == {"Topic"}
    assert world.update("a", template, More="true") == "UPDATE_COMPLETE"
    assert world.resources("a") == {"Topic", "Other"}
    assert world.update("a", template, More="false") == "UPDATE_COMPLETE"
    assert world.resources("a") == {"Topic"}


def test_an_update_of_nothing_is_refused(world: World) -> None:
    world.create("a", {"Resources": {"Topic": TOPIC}})
    with pytest.raises(ClientError, match="No updates are to be performed"):
        world.update("a", {"Resources": {"Topic": TOPIC}})


def test_a_secret_is_generated_and_referred_to(world: World) -> None:
    generate = {"SecretStringTemplate": "{}", "GenerateStringKey": "word", "PasswordLength": 24, "ExcludePunctuation": True}
    template = {
        "Resources": {
            "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": generate}},
            "Topic": {**TOPIC, "Properties": {"DisplayName": {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:word}}"}}},
        },
        "Outputs": {"Secret": {"Value": {"Ref": "Secret"}}, "Topic": {"Value": {"Ref": "Topic"}}},
    }
    assert world.create("a", template) == "CREATE_COMPLETE", world.reasons("a")
    outputs = world.stacks.describe_stacks(StackName="a")["Stacks"][0]["Outputs"]
    made = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    word = json.loads(world.client("secretsmanager").get_secret_value(SecretId=made["Secret"])["SecretString"])["word"]
    topic = world.client("sns").get_topic_attributes(TopicArn=made["Topic"])["Attributes"]

    assert len(word) == 24 and word.isalnum()
    assert topic["DisplayName"] == word


def test_change_sets_are_refused(world: World) -> None:
    with pytest.raises(ClientError, match="no change sets"):
        world.stacks.create_change_set(**world.wanted("a", {"Resources": {"Topic": TOPIC}}, {}), ChangeSetName="c")
