"""The gates find what they are for, and their exceptions cannot grow stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import gates
import pytest

CHECKOV = str(gates.DEPLOY.parent / "target/checkov-venv/bin/checkov")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("cloudformation", "params"):
        shutil.copytree(gates.DEPLOY / folder, tmp_path / folder)
    exceptions = shutil.copy(gates.EXCEPTIONS, tmp_path)
    monkeypatch.setattr(gates, "DEPLOY", tmp_path)
    monkeypatch.setattr(gates, "EXCEPTIONS", Path(exceptions))
    return tmp_path


def plant(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, "the fault is planted nowhere"
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("Action: ecr:GetAuthorizationToken", 'Action: "ecr:*"', "EVERY_ACTION"),
        ("Action: secretsmanager:GetSecretValue", "Action: secretsmanager:GetSecretValu", "UNKNOWN_ACTION"),
        (
            "Resource: !Sub arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${Environment}-aidlc-auth",
            'Resource: "*"',
            "PullTheImage: EVERY_RESOURCE",
        ),
    ],
)
def test_a_role_that_may_too_much_is_named(copy: Path, capsys: pytest.CaptureFixture, old: str, new: str, named: str) -> None:
    plant(copy / "cloudformation/4-iam.yaml", old, new)
    assert gates.main("policies") == 1
    assert named in capsys.readouterr().out


def test_an_exception_that_nothing_needs_is_named(copy: Path, capsys: pytest.CaptureFixture) -> None:
    plant(copy / "exceptions.toml", '"ExecutionRole.SignInToTheRegistry"', '"ExecutionRole.SignInToTheRegistry", "TaskRole.Other"')
    assert gates.main("policies") == 1
    assert "EVERY_RESOURCE of TaskRole.Other in staging: nothing needs this exception" in capsys.readouterr().out


def test_a_database_that_everyone_can_reach_is_named(copy: Path, capsys: pytest.CaptureFixture) -> None:
    plant(copy / "cloudformation/3-database.yaml", "PubliclyAccessible: false", "PubliclyAccessible: true")
    assert gates.main("checkov", CHECKOV) == 1
    assert "3-database.yaml: Database: CKV_AWS_17" in capsys.readouterr().out


def test_a_property_that_is_not_there_is_named(copy: Path, capfd: pytest.CaptureFixture) -> None:
    plant(copy / "cloudformation/3-database.yaml", "StorageEncrypted: true", "StorageEncryption: true")
    assert gates.main("cfn-lint") != 0
    assert "StorageEncryption" in capfd.readouterr().out
