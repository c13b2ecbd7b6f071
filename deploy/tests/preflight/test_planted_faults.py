"""What preflight says about the templates, without an account."""

from __future__ import annotations

import struct

import pytest
from aidlc_deploy.templates import ENVIRONMENTS
from looking import CANARY, CATALOGUE, FAULTS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_our_templates_are_in_order(deployment, environment):
    told = deployment.look(environment)

    assert told.wrong() == []
    assert told.status == 0
    assert {row["code"] for row in told.rows} == {code for code, row in CATALOGUE.items() if "P" in row.seen}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['code']}: {fault['evidence']}")
def test_a_planted_fault_is_named(deployment, fault):
    deployment.plant(fault["file"], fault["old"], fault["new"])

    deployment.look(fault.get("environment", "staging")).names(fault["code"], fault["evidence"])


def test_an_image_for_another_processor_is_named(deployment):
    elf_for_arm64 = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 0xB7)
    (deployment.folder / "image").mkdir()
    (deployment.folder / "image" / "aidlc-auth").write_bytes(elf_for_arm64)

    deployment.look("staging").names(
        "image_architecture", "CpuArchitecture is X86_64, and aidlc-auth was built for ARM64"
    )


def test_an_image_for_this_processor_is_in_order(deployment):
    elf_for_x86_64 = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 0x3E)
    (deployment.folder / "image").mkdir()
    (deployment.folder / "image" / "aidlc-auth").write_bytes(elf_for_x86_64)

    assert deployment.look("staging").wrong() == []


def test_a_fault_holds_a_password_that_no_look_may_tell():
    assert any(CANARY in fault["new"] for fault in FAULTS)


def test_a_database_class_that_is_not_known_is_a_warning(deployment):
    deployment.plant("staging.json", "db.t4g.micro", "db.t9z.gigantic")

    told = deployment.look("staging")

    assert [(row["code"], row["status"]) for row in told.wrong()] == [("too_many_connections", "warning")]
    assert told.status == 0


def test_a_nat_gateway_makes_endpoints_a_choice(deployment):
    deployment.plant("staging.json", '"NatGateway": "false"', '"NatGateway": "true"')
    deployment.plant("5-endpoints.yaml", "${AWS::Region}.ecr.api", "${AWS::Region}.ecs")

    assert deployment.look("staging").wrong() == []


def test_a_key_of_our_own_must_be_usable_by_whoever_reads_the_secret(deployment):
    deployment.plant("staging.json", '"KmsKeyArn": ""', '"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0a1b"')
    assert deployment.look("staging").wrong() == []

    deployment.plant("4-iam.yaml", "Action: kms:Decrypt", "Action: kms:Encrypt")

    deployment.look("staging").names(
        "secret_access", "ExecutionRole: no kms:Decrypt on the key of the secret of SECRET_KEYS"
    )


def test_a_task_without_an_execution_role_is_told_for_all_that_it_lacks(deployment):
    deployment.plant("7-service.yaml", "ExecutionRoleArn: !ImportValue", "Ignored: !ImportValue")

    told = deployment.look("staging")

    assert [row["code"] for row in told.wrong()] == [
        "resource_initialization",
        "secret_access",
        "secret_access",
        "no_logs",
    ]


def test_a_number_of_connections_that_was_chosen_counts(deployment):
    deployment.plant(
        "3-database.yaml", '        rds.force_ssl: "1"\n', '        rds.force_ssl: "1"\n        max_connections: "30"\n'
    )

    deployment.look("staging").names("too_many_connections", "and the database has about 25")
