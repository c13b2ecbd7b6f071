"""The one way to AWS, against programs that stand for the `aws` command."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from aidlc_deploy.aws import Aws, AwsError, is_reading


@pytest.fixture
def aws_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an `aws` on the PATH that runs a few lines of Python."""

    def put(body: str) -> None:
        program = tmp_path / "aws"
        program.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n", "utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def test_a_call_names_region_format_and_profile(aws_says) -> None:
    aws_says("print(json.dumps({'said': sys.argv[1:], 'pager': os.environ['AWS_PAGER'], 'utf8': sys.flags.utf8_mode}))")
    answer = Aws("us-east-1", profile="blue").call("ecs", "list-tasks", "--cluster", "a b")
    assert answer == {
        "said": "ecs,list-tasks,--cluster,a b,--output,json,--region,us-east-1,--profile,blue".split(","),
        "pager": "",
        "utf8": 1,
    }


def test_no_answer_is_an_empty_one(aws_says) -> None:
    aws_says("")
    assert Aws("us-east-1").call("cloudformation", "delete-stack", "--stack-name", "x") == {}


@pytest.mark.parametrize(
    ("said", "code", "message", "is_transient"),
    [
        (
            "\nAn error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id x does not exist\n",
            "ValidationError",
            "Stack with id x does not exist",
            False,
        ),
        (  # version 2 as of 2025
            "\naws: [ERROR]: An error occurred (AccessDenied) when calling the X operation: no\n",
            "AccessDenied",
            "no",
            False,
        ),
        (
            "An error occurred (Throttling) when calling the X operation (reached max retries: 2): Rate exceeded",
            "Throttling",
            "Rate exceeded",
            True,
        ),
        (
            "Unable to locate credentials. You can configure credentials by running \"aws configure\".",
            "NoCredentials",
            "Unable to locate credentials",
            False,
        ),
        ('Could not connect to the endpoint URL: "https://x/"', "NoConnection", "Could not connect", True),
        ("usage: aws [options]", "CommandFailed", "usage: aws", False),
        ("", "CommandFailed", "said nothing", False),
    ],
)
def test_a_refusal_is_understood(aws_says, said: str, code: str, message: str, is_transient: bool) -> None:
    aws_says(f"sys.exit({said!r} or 255)")
    with pytest.raises(AwsError) as raised:
        Aws("us-east-1").call("cloudformation", "describe-stacks", "--stack-name", "x")
    assert raised.value.code == code
    assert message in raised.value.message
    assert raised.value.is_transient is is_transient
    assert "aws cloudformation describe-stacks --stack-name x" in str(raised.value)


def test_a_call_that_hangs_is_given_up(aws_says) -> None:
    aws_says("time.sleep(60)")
    with pytest.raises(AwsError, match="no answer within 0.2 s") as raised:
        Aws("us-east-1", timeout_secs=0.2).call("ecs", "list-tasks")
    assert raised.value.is_transient


def test_a_missing_command_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AwsError, match="not installed: https://docs.aws.amazon.com") as raised:
        Aws("us-east-1").call("ecs", "list-tasks")
    assert raised.value.code == "AwsMissing"


def test_a_dry_run_prints_what_would_write_and_makes_what_reads(aws_says) -> None:
    aws_says("print('{\"Account\": \"1\"}') if sys.argv[2].startswith('get-') else sys.exit('must not be called')")
    out = io.StringIO()
    aws = Aws("us-east-1", dry_run=True, out=out)
    assert aws.find_account() == "1"
    assert aws.call("cloudformation", "delete-stack", "--stack-name", "a b") == {}
    assert out.getvalue() == "aws cloudformation delete-stack --stack-name 'a b' --output json --region us-east-1\n"


def test_a_dry_run_needs_no_account(aws_says) -> None:
    aws_says("sys.exit('Unable to locate credentials')")
    aws = Aws("us-east-1", dry_run=True)
    assert aws.find_account() is None
    assert aws.call("cloudformation", "describe-stacks") == {}
    with pytest.raises(AwsError):
        Aws("us-east-1").find_account()


def test_an_unknown_operation_is_taken_to_write() -> None:
    assert is_reading("describe-stacks")
    assert not is_reading("cancel-update-stack")
    assert not is_reading("new-operation")
