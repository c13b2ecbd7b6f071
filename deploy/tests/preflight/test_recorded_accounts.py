"""What preflight says about an account, from answers recorded in files.

They follow AWS's documented shapes and literal messages; `test_recorded_answers.py` holds them to botocore's models.
Nothing here has spoken to AWS itself.
"""

from __future__ import annotations

import pytest
from looking import ANSWERS, CANARY, CATALOGUE, RecordedAws, account, recorded

RECORDED = sorted(path.stem for path in ANSWERS.glob("*.json") if "code" in recorded(path.stem))


def test_a_healthy_account_is_in_order(deployment):
    told = deployment.look("production", account())

    assert told.wrong() == []
    assert told.status == 0
    assert {row["code"] for row in told.rows} == {code for code, row in CATALOGUE.items() if {"P", "A"} & set(row.seen)}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_fault_is_named(deployment, name):
    fault = recorded(name)

    deployment.look("production", account(name)).names(fault["code"], fault["evidence"])


def test_the_account_holds_a_password_that_no_look_may_tell():
    task = account().answers["ecs describe-task-definition"]["taskDefinition"]

    assert CANARY in str(task["containerDefinitions"][0]["environment"])


def test_a_certificate_of_another_region_is_named(deployment):
    deployment.plant("production.json", "arn:aws:acm:us-east-1:", "arn:aws:acm:us-west-2:")

    told = deployment.look("production", account())

    told.names("certificate", "CertificateArn is of us-west-2, and the load balancer is in us-east-1")


def test_a_first_deployment_needs_no_stacks(deployment):
    aws = account()
    aws.answers["cloudformation describe-stacks"] = {"Stacks": []}

    told = deployment.look("production", aws)

    assert told.wrong() == []
    assert ("ecs", "describe-services") not in {call[:2] for call in aws.calls}


def test_a_permission_that_is_missing_is_a_warning_that_names_it(deployment):
    aws = account()
    aws.answers["ecr describe-repositories"] = (
        "An error occurred (AccessDeniedException) when calling the DescribeRepositories operation: User: arn:aws:iam::"
        "123456789012:user/operator is not authorized to perform: ecr:DescribeRepositories on resource: arn:aws:ecr:us-"
        "east-1:123456789012:repository/production-aidlc-auth because no identity-based policy allows it"
    )
    aws.answers["sesv2 get-account"] = (
        "An error occurred (AccessDeniedException) when calling the GetAccount operation: no"
    )

    told = deployment.look("production", aws)

    assert told.status == 0
    assert {(row["code"], row["status"], row["evidence"]) for row in told.wrong()} == {
        ("account_not_readable", "warning", "ecr:DescribeRepositories is not allowed"),
        ("account_not_readable", "warning", "ses:GetAccount is not allowed"),
    }
    # Of what could not be seen as a whole, nothing is said to be in order.
    assert not {"image_pull", "service_rolled_back", "certificate"} & {row["code"] for row in told.rows}


def test_an_aws_that_does_not_answer_is_a_warning(deployment):
    aws = account()
    aws.answers["acm describe-certificate"] = (
        "An error occurred (ThrottlingException) when calling the DescribeCertificate operation (reached max retries: 2): Rate exceeded"
    )

    told = deployment.look("production", aws)

    assert [row["evidence"] for row in told.wrong()] == [
        "acm describe-certificate: Rate exceeded (ThrottlingException)"
    ]


def test_several_causes_are_told_each_once(deployment):
    told = deployment.look(
        "production", account("image_pull-stopped", "certificate-pending", "no_circuit_breaker-service")
    )

    assert [row["code"] for row in told.wrong()] == ["image_pull", "no_circuit_breaker", "certificate"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        # What `up` mends, waits for or replaces must not keep it away.
        ("image_pull-stopped", 0),
        ("stack_rollback_complete", 0),
        ("service_rolled_back-done", 0),
        # What would stop it halfway does.
        ("stack_update_rollback_failed", 1),
        ("certificate-pending", 1),
        ("no_account-credentials", 1),
    ],
)
def test_before_up_only_what_is_in_its_way_fails(deployment, name, status):
    assert deployment.look("production", account(name), before_up=True).status == status


def test_a_dry_run_without_an_account_looks_at_the_templates(deployment):
    aws = RecordedAws(dry_run=True, reads=False)

    assert deployment.look("production", aws).wrong() == []
    assert aws.calls == []
