"""Each fault, planted into a copy of the real files, is named; the files as they are keep every rule."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aidlc_deploy.contract import Breach, breaches, kebab
from aidlc_deploy.templates import ENVIRONMENTS, TemplateError, load_parameters, load_templates

DEPLOY = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("cloudformation", "params"):
        shutil.copytree(DEPLOY / folder, tmp_path / folder)
    return tmp_path


def test_the_templates_keep_their_contract(copy: Path) -> None:
    assert found_in(copy) == []


# rule, file, what stands there, what is planted, what the message must name
FAULTS = [
    ("export-duplicate", "2-security-groups.yaml", "aidlc-auth-task-group-id", "aidlc-auth-alb-group-id", "alb-group-id"),
    ("export-duplicate", "6-registry.yaml", "  RepositoryUri:\n    Value", "  VpcId:\n    Value: x\n    Export:\n      Name: !Sub ${Environment}-aidlc-auth-vpc-id\n  RepositoryUri:\n    Value", "1-network.yaml"),
    ("export-name", "1-network.yaml", "Name: !Sub ${Environment}-aidlc-auth-vpc-cidr", "Name: !Sub ${Environment}-auth-VpcCidr", "auth-VpcCidr"),
    ("output-without-export", "6-registry.yaml", "  RepositoryName:\n", "  Arn:\n    Value: !GetAtt Repository.Arn\n  RepositoryName:\n", "Arn"),
    ("import-unknown", "3-database.yaml", "aidlc-auth-data-subnet-ids", "aidlc-auth-data-subnets", "data-subnet-ids"),
    ("import-order", "1-network.yaml", "Outputs:\n", "  Early:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: !ImportValue\n        Fn::Sub: ${Environment}-aidlc-auth-cluster-name\nOutputs:\n", "7-service.yaml"),
    ("import-of-change", "8-monitoring.yaml", "aidlc-auth-log-group-name", "aidlc-auth-task-definition-arn", "task-definition-arn"),
    ("parameter-default", "7-service.yaml", "  CpuArchitecture:\n    Type: String\n", "  CpuArchitecture:\n    Type: String\n    Default: X86_64\n", "CpuArchitecture"),
    ("parameter-secret", "3-database.yaml", "  DatabaseClass:\n", "  DatabasePassword:\n    Type: String\n  DatabaseClass:\n", "DatabasePassword"),
    ("parameter-secret", "3-database.yaml", "  DatabaseClass:\n    Type: String\n", "  DatabaseClass:\n    Type: String\n    NoEcho: true\n", "DatabaseClass"),
    ("parameter-unused", "6-registry.yaml", "EmptyOnDelete: !Ref RegistryEmptyOnDelete", "EmptyOnDelete: true", "RegistryEmptyOnDelete"),
    ("parameter-differs", "8-monitoring.yaml", "AllowedValues: [simulation, ses]", "AllowedValues: [simulation, smtp, ses]", "MailTransport"),
    ("parameter-environment", "5-endpoints.yaml", "  Environment:\n    Type: String\n    AllowedValues: [staging, production]\n", "", "Environment"),
    ("parameter-missing", "staging.json", '    "VpcCidr": "10.0.0.0/16",\n', "", "VpcCidr"),
    ("parameter-unknown", "production.json", '"MinTasks"', '"MinTask"', "MinTasks"),
    ("parameter-refused", "staging.json", '"VpcCidr": "10.0.0.0/16"', '"VpcCidr": "10.0.0.0"', "VpcCidr"),
    ("parameter-refused", "staging.json", '"DatabaseBackupDays": "7"', '"DatabaseBackupDays": "70"', "DatabaseBackupDays"),
    ("parameter-refused", "staging.json", '"CpuArchitecture": "X86_64"', '"CpuArchitecture": "amd64"', "CpuArchitecture"),
    ("parameter-refused", "production.json", '"MailTransport": "ses"', '"MailTransport": "simulation"', "MailTransport that sends"),
    ("parameter-unknown", "staging.json", '"CacheInMemory"', '"OneTask": "false", "CacheInMemory"', "OneTask"),
    ("parameter-unknown", "production.json", '"AlarmEmail"', '"MailSubscription": "true", "AlarmEmail"', "MailSubscription"),
    ("parameter-refused", "production.json", '"CacheNodes": "2"', '"CacheNodes": "1"', "CacheNodes"),
    ("plain-secret", "7-service.yaml", "            - Name: LOG_FORMAT\n", "            - Name: REDIS_PASSWORD\n              Value: hunter2\n            - Name: LOG_FORMAT\n", "REDIS_PASSWORD"),
    ("plain-secret", "7-service.yaml", "postgres://${DatabaseAddress}", "postgres://postgres:hunter2@${DatabaseAddress}", "password"),
    ("plain-secret", "3-database.yaml", "ManageMasterUserPassword: true", "MasterUserPassword: hunter2", "MasterUserPassword"),
    ("plain-secret", "3-database.yaml", 'AuthToken: !Sub "{{resolve:secretsmanager:${CacheSecret}:SecretString:password}}"', "AuthToken: hunter2", "AuthToken"),
    ("plain-secret", "staging.json", '"AlarmEmail": ""', '"AlarmEmail": "smtp://ops:hunter2@mail"', "AlarmEmail"),
    ("port", "7-service.yaml", "            - ContainerPort: 8001", "            - ContainerPort: 8000", "PortMappings"),
    ("port", "7-service.yaml", 'Value: "8001"', 'Value: "8080"', "PORT"),
    ("port", "7-service.yaml", "      Protocol: HTTP\n      Port: 8001", "      Protocol: HTTP\n      Port: 80", "TargetGroup"),
    ("port", "7-service.yaml", "          ContainerPort: 8001\n          TargetGroupArn", "          ContainerPort: 80\n          TargetGroupArn", "Service"),
    ("port", "2-security-groups.yaml", "      FromPort: 8001\n      ToPort: 8001\n      SourceSecurityGroupId", "      FromPort: 8000\n      ToPort: 8000\n      SourceSecurityGroupId", "TasksFromAlb"),
    ("names", "7-service.yaml", "LogGroupName: !Sub /ecs/${Environment}-aidlc-auth", "LogGroupName: !Sub /ecs/${Environment}-auth", "LogGroupName"),
    ("names", "7-service.yaml", "ServiceName: !Sub ${Environment}-aidlc-auth-service", "ServiceName: !Sub ${Environment}-auth", "ServiceName"),
    ("names", "7-service.yaml", "        - Name: aidlc-auth\n          Image", "        - Name: auth\n          Image", "auth"),
    ("names", "7-service.yaml", "        - ContainerName: aidlc-auth", "        - ContainerName: auth", "auth"),
    ("names", "7-service.yaml", 'Memory: "512"', 'Memory: "1024"', "Memory"),
]


@pytest.mark.parametrize(("rule", "file", "old", "new", "named"), FAULTS, ids=[f"{fault[0]}-{fault[4]}" for fault in FAULTS])
def test_a_fault_is_named(copy: Path, rule: str, file: str, old: str, new: str, named: str) -> None:
    path = next(copy.rglob(file))
    text = path.read_text()
    assert old in text, "the fault is planted nowhere"
    path.write_text(text.replace(old, new, 1))

    found = [breach for breach in found_in(copy) if breach.rule == rule]

    assert any(named in breach.text and breach.file == file for breach in found), found_in(copy)
    assert not any("hunter2" in str(breach) for breach in found_in(copy)), "a secret is not repeated"


def test_a_wrong_order_is_named(copy: Path) -> None:
    """Security groups before the network that they are in."""
    templates = copy / "cloudformation"
    (templates / "1-network.yaml").rename(templates / "2-network.yaml")
    (templates / "2-security-groups.yaml").rename(templates / "1-security-groups.yaml")

    found = {(breach.rule, breach.file) for breach in found_in(copy)}

    assert ("order", "1-security-groups.yaml") in found
    assert ("import-order", "1-security-groups.yaml") in found


def test_an_export_that_an_environment_lacks_is_named(copy: Path) -> None:
    """Only production has a certificate, so with this condition staging would import what is not there."""
    path = copy / "cloudformation/7-service.yaml"
    text = path.read_text()
    path.write_text(text.replace("  ClusterName:\n    Value", "  ClusterName:\n    Condition: HasCertificate\n    Value"))

    (found,) = [breach for breach in found_in(copy) if breach.rule == "import-conditional"]

    assert found.file == "8-monitoring.yaml" and "staging-aidlc-auth-cluster-name" in found.text


def test_a_missing_and_a_strange_template_are_named(copy: Path) -> None:
    templates = copy / "cloudformation"
    (templates / "8-monitoring.yaml").unlink()
    assert Breach("order", "8-monitoring.yaml", "is missing") in found_in(copy)

    shutil.copy(DEPLOY / "cloudformation/8-monitoring.yaml", templates)
    shutil.copy(templates / "6-registry.yaml", templates / "9-more.yaml")
    assert Breach("order", "9-more.yaml", "is not one of the agreed templates") in found_in(copy)


def test_an_environment_without_parameters_is_named(copy: Path) -> None:
    (copy / "params/production.json").unlink()
    assert Breach("parameter-missing", "production.json", "is missing") in found_in(copy)


def test_a_key_that_stands_twice_is_refused(copy: Path) -> None:
    """YAML would take the last one in silence."""
    path = copy / "cloudformation/6-registry.yaml"
    path.write_text(path.read_text().replace("Outputs:\n", "Outputs:\n  RepositoryUri:\n    Value: x\n"))
    with pytest.raises(TemplateError, match="RepositoryUri stands twice"):
        load_templates(copy / "cloudformation")


def test_names_in_kebab_case() -> None:
    assert kebab("VpcId") == "vpc-id"
    assert kebab("LoadBalancerDnsName") == "load-balancer-dns-name"


def found_in(folder: Path) -> list[Breach]:
    files = {environment: folder / f"params/{environment}.json" for environment in ENVIRONMENTS}
    parameters = {environment: load_parameters(file) for environment, file in files.items() if file.exists()}
    return breaches(load_templates(folder / "cloudformation"), parameters)
