"""A dry run: what the real one writes, and nothing written."""

from __future__ import annotations

import re

from fake.account import Account
from fake.answers import Refused
from world import World, writing


def without_account(world: World, monkeypatch) -> None:
    def refused(*_):
        raise Refused("ExpiredToken", "The security token included in the request is expired")

    monkeypatch.setattr(Account, "sts_get_caller_identity", refused)


def printed(world: World, out: str) -> list[str]:
    """What a dry run printed as calls, masked as recorded calls are."""
    lines = [line for line in out.splitlines() if not line.startswith("#")]
    lines = [re.sub("rollback-[0-9]+", "rollback-SECONDS", line.replace(f"{world.root}/", "deploy/")) for line in lines]
    return [line.replace(" --output json --region us-east-1", "") for line in lines]


def made(calls: list[str]) -> list[str]:
    """The recorded writing calls, with what only an account can know in brackets, as a dry run has it."""
    known = {
        "arn:aws:ecs:us-east-1:123456789012:task-definition/staging-aidlc-auth:1": "<TaskDefinitionArn>",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/staging-aidlc-auth": "<RepositoryUri>",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com": "<RepositoryUri>",
        '"subnet-a", "subnet-b"': '"<PrivateSubnetIds>"',
        "TaskGroupId-of-staging": "<TaskGroupId>",
        "migrate/1": "migrate/<TaskDefinitionArn>",
    }
    for value, name in known.items():
        calls = [call.replace(value, name) for call in calls]
    return calls


def test_without_an_account_it_prints_what_the_first_up_writes(world, monkeypatch, is_as_recorded) -> None:
    with monkeypatch.context() as no_account:
        without_account(world, no_account)
        dry = world.run("up", "--image-tag", "t1", "--from", "network", "--dry-run")
    assert dry.status == 0, dry.err
    assert dry.out.startswith("# dry run without an account: nothing was called")
    assert world.calls() == ["aws sts get-caller-identity"]
    is_as_recorded("dry_run", dry.out.replace(f"{world.root}/", "deploy/").splitlines())

    assert world.up().status == 0
    # The password's way is one line of a shell there and two calls here.
    real = [call for call in made(writing(world.calls()))]
    plan = [line.split(" | ")[-1].replace("'", "") for line in printed(world, dry.out)]
    assert plan == [call.replace("'", "") for call in real]


def test_with_an_account_it_reads_and_writes_nothing(world) -> None:
    world.up()
    world.calls()
    before = world.state()
    for words in [
        ("up", "--image-tag", "t2", "--from", "network"),
        ("rollback", "--to", "1"),
        ("down", "--images"),
        ("doctor",),
        ("run", "--", "users", "show", "a@example.com"),
        ("check",),
        ("logs",),
        ("status",),
    ]:
        done = world.run(words[0], "--dry-run", *words[1:])
        assert done.status in (0, 1), words
        assert "dry run in account 123456789012" in done.out
        assert writing(world.calls()) == [], words
    assert world.state() == before


def test_down_in_a_dry_run_prints_what_down_writes(world) -> None:
    world.up()
    world.calls()
    dry = world.run("down", "--images", "--dry-run")
    assert writing(world.calls()) == []
    world.run("down", "--images", "--yes")
    assert printed(world, dry.out) == writing(world.calls())


def test_rollback_in_a_dry_run_prints_what_rollback_writes(world) -> None:
    world.up("t1")
    world.up("t2")
    world.calls()
    dry = world.run("rollback", "--dry-run")
    assert writing(world.calls()) == []
    world.run("rollback", "--yes")
    assert printed(world, dry.out) == writing(world.calls())


def test_what_is_stuck_is_not_waited_for(world) -> None:
    world.up()
    world.account.cloudformation.stacks["staging-aidlc-auth-network"].become("UPDATE_IN_PROGRESS")
    assert world.run("up", "--image-tag", "t1", "--from", "network", "--dry-run").status == 0
