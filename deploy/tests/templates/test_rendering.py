"""What `Template.rendered` makes of CloudFormation's conditions and functions."""

from __future__ import annotations

from pathlib import Path

import pytest
from aidlc_deploy.templates import Template, TemplateError, load_template

TEXT = """
Parameters:
  Environment: {Type: String}
  Mail: {Type: String}
  Zones: {Type: CommaDelimitedList}
Rules:
  MailNeedsAnEnvironment:
    RuleCondition: !Equals [!Ref Mail, "yes"]
    Assertions:
      - Assert: !Not [!Equals [!Ref Environment, ""]]
        AssertDescription: Mail needs an environment.
Conditions:
  SendsMail: !Equals [!Ref Mail, "yes"]
  Silent: !Not [!Condition SendsMail]
  Both: !And [!Condition SendsMail, !Condition Silent]
  Either: !Or [!Condition SendsMail, !Condition Silent]
Resources:
  Queue:
    Type: T
    Properties:
      Name: !Sub ${Environment}-mail-${AWS::Region}
      Literal: !Sub ${!Environment}
      Owner: !Sub "${Owner}/${Environment}"
      Mixed: !Sub ["${Vpc}:${Environment}", {Vpc: !ImportValue {"Fn::Sub": "${Environment}-aidlc-auth-vpc-id"}}]
      Chosen: !If [SendsMail, mail, !Ref AWS::NoValue]
      List: [a, !If [SendsMail, b, !Ref AWS::NoValue]]
      Zones: !Join ["-", !Ref Zones]
      Second: !Select [1, !Ref Zones]
      Part: !GetAtt Owner.Endpoint.Address
      Since: 2012-10-17
  Owner: {Type: U, Condition: Silent}
  Never: {Type: U, Condition: Both}
  Always: {Type: U, Condition: Either}
Outputs:
  Queue:
    Condition: SendsMail
    Value: !Ref Queue
    Export: {Name: !Sub "${Environment}-aidlc-auth-queue"}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    path = tmp_path / "3-mail.yaml"
    path.write_text(TEXT)
    return load_template(path)


def test_functions_are_worked_out_as_far_as_they_go(template: Template) -> None:
    rendered = template.rendered({"Environment": "staging", "Mail": "yes", "Zones": "x,y"}, region="eu-west-1")
    assert rendered.resources["Queue"]["Properties"] == {
        "Name": "staging-mail-eu-west-1",
        "Literal": {"Fn::Sub": "${!Environment}"},
        "Owner": {"Fn::Sub": "${Owner}/staging"},
        "Mixed": {"Fn::Sub": ["${Vpc}:staging", {"Vpc": {"Fn::ImportValue": "staging-aidlc-auth-vpc-id"}}]},
        "Chosen": "mail",
        "List": ["a", "b"],
        "Zones": "x-y",
        "Second": "y",
        "Part": {"Fn::GetAtt": ["Owner", "Endpoint.Address"]},
        "Since": "2012-10-17",
    }
    assert rendered.imports() == ["staging-aidlc-auth-vpc-id"]
    assert rendered.exports() == {"Queue": "staging-aidlc-auth-queue"}


def test_conditions_leave_out_what_they_must(template: Template) -> None:
    loud = template.rendered({"Environment": "staging", "Mail": "yes", "Zones": "x,y"})
    silent = template.rendered({"Environment": "staging", "Mail": "no", "Zones": "x,y"})

    assert set(loud.resources) == {"Queue", "Always"}
    assert set(silent.resources) == {"Queue", "Owner", "Always"}
    assert "Chosen" not in silent.resources["Queue"]["Properties"]
    assert silent.resources["Queue"]["Properties"]["List"] == ["a"]
    assert silent.exports() == {}


def test_its_own_rules_are_told(template: Template) -> None:
    assert template.broken_rules({"Environment": "", "Mail": "yes"}) == ["Mail needs an environment."]
    assert template.broken_rules({"Environment": "", "Mail": "no"}) == []


def test_a_condition_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1-x.yaml"
    path.write_text("Resources: {A: {Type: T, Condition: Absent}}")
    with pytest.raises(TemplateError, match="no condition Absent"):
        load_template(path).rendered({})


def test_a_file_without_a_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text(TEXT)
    with pytest.raises(TemplateError, match="its place in the order"):
        load_template(tmp_path / "network.yaml")
