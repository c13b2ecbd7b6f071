"""An emergency without a cache: one task, its memory, and never a second one. The stand-in asserts that last part."""

from __future__ import annotations

import pytest

from world import World, writing

SERVICE = "staging-aidlc-auth-service"


@pytest.fixture
def in_emergency(world: World) -> World:
    assert world.up().status == 0
    world.calls()
    world.set_parameter("CacheInMemory", "true")
    assert world.up().status == 0
    return world


def given(world: World) -> dict[str, str]:
    return world.account.cloudformation.stacks[SERVICE].parameters


def of_service(calls: list[str]) -> list[str]:
    return [call for call in writing(calls) if SERVICE in call or "run-task" in call]


def test_one_task_is_left_before_it_keeps_anything_in_its_memory(in_emergency, is_as_recorded) -> None:
    is_as_recorded("emergency_begins", of_service(in_emergency.calls()))
    assert given(in_emergency)["OneTask"] == "true"
    assert in_emergency.state()["service"].endswith(":2")
    assert in_emergency.account.images == ["t1"], "no other image is needed"


def test_it_goes_before_others_come(in_emergency, is_as_recorded) -> None:
    in_emergency.calls()
    in_emergency.set_parameter("CacheInMemory", "false")
    assert in_emergency.up().status == 0
    is_as_recorded("emergency_ends", of_service(in_emergency.calls()))
    assert given(in_emergency)["OneTask"] == "false"
    assert in_emergency.state()["service"].endswith(":3")


def test_a_release_meanwhile_leaves_it_at_one(in_emergency) -> None:
    done = in_emergency.up("t2")
    assert done.status == 0
    assert 'scale: it stays at one task, for CacheInMemory is "true"' in done.out
    assert given(in_emergency)["OneTask"] == "true"


def test_it_is_not_scaled_while_the_memory_is_in_use(in_emergency) -> None:
    in_emergency.set_parameter("CacheInMemory", "false")
    refused = in_emergency.run("up", "--image-tag", "t1", "--from", "scale")
    assert refused.status == 1
    assert "run `up --from task-definition`" in refused.err

    in_emergency.account.plant("migrate", exit=1)
    assert in_emergency.up().status == 1  # the next revision is registered and does not run
    assert in_emergency.run("up", "--image-tag", "t1", "--from", "scale").status == 1
    assert given(in_emergency)["OneTask"] == "true"


def test_a_rollback_out_of_it_stays_at_one_task(in_emergency) -> None:
    done = in_emergency.run("rollback", "--yes")
    assert done.status == 0, done.err
    assert f'{SERVICE}: stays at one task, until `up` with CacheInMemory "false" adds others' in done.out
    assert in_emergency.state()["service"].endswith(":1")
    assert given(in_emergency)["OneTask"] == "true"


def test_there_is_no_rollback_into_it(in_emergency) -> None:
    in_emergency.set_parameter("CacheInMemory", "false")
    assert in_emergency.up().status == 0
    refused = in_emergency.run("rollback", "--yes")
    assert refused.status == 1
    assert "staging-aidlc-auth:2 keeps codes and sessions in the memory of one task" in refused.err
    assert in_emergency.run("rollback", "--yes", "--to", "1").status == 0


def test_a_dry_run_prints_what_ends_it(in_emergency) -> None:
    in_emergency.set_parameter("CacheInMemory", "false")
    dry = in_emergency.run("up", "--image-tag", "t1", "--from", "scale", "--dry-run").out
    assert '{"ParameterKey": "OneTask", "ParameterValue": "false"}' in dry
