"""`rollback`, from every state that a deployment can be stuck in."""

from __future__ import annotations

import pytest

SERVICE = "staging-aidlc-auth-service"


@pytest.fixture
def twice_up(world):
    """The second release runs, and the first is what ran before."""
    assert world.up("t1").status == 0
    assert world.up("t2").status == 0
    world.calls()
    return world


def service_stack(world):
    return world.account.cloudformation.stacks[SERVICE]


def test_back_to_what_ran_before(twice_up, is_as_recorded) -> None:
    world = twice_up
    done = world.run("rollback", "--yes")
    assert done.status == 0, done.err
    is_as_recorded("rollback", world.calls())
    is_as_recorded("rollback.output", done.out.splitlines())
    assert world.state()["service"].endswith(":1")
    assert service_stack(world).parameters["RunningTaskDefinition"].endswith(":1")
    assert service_stack(world).parameters["ImageTag"] == "t2", "nothing else was touched"
    assert world.migrations() == 2, "the database is never migrated down"


def test_twice_is_once(twice_up) -> None:
    world = twice_up
    assert world.run("rollback", "--yes").status == 0
    again = world.run("rollback", "--yes")
    assert again.status == 0
    assert "is back already: staging-aidlc-auth:1 runs" in again.out
    assert world.state()["service"].endswith(":1")


def test_a_release_that_was_never_run_is_not_gone_back_from(twice_up) -> None:
    world = twice_up
    world.account.plant("migrate", exit=1)
    assert world.up("t3").status == 1
    assert "is back already: staging-aidlc-auth:2 runs" in world.run("rollback", "--yes").out


def test_a_revision_that_never_ran_is_passed_over(twice_up) -> None:
    world = twice_up
    world.account.plant("migrate", exit=1)
    assert world.up("t3").status == 1  # registers :3 and does not run it
    assert world.up("t4").status == 0
    assert world.state()["service"].endswith(":4")
    assert world.run("rollback", "--yes").status == 0
    assert world.state()["service"].endswith(":2")


def test_to_a_revision_by_name(twice_up) -> None:
    world = twice_up
    assert world.up("t3").status == 0
    assert world.run("rollback", "--yes", "--to", "1").status == 0
    assert world.state()["service"].endswith(":1")
    unknown = world.run("rollback", "--yes", "--to", "99")
    assert unknown.status == 1
    assert "Unable to describe task definition" in unknown.err


def test_nothing_ran_before(world) -> None:
    world.up()
    refused = world.run("rollback", "--yes")
    assert refused.status == 1
    assert "name a revision with --to" in refused.err


def test_there_is_no_service_yet(world) -> None:
    done = world.run("rollback", "--yes")
    assert done.status == 0
    assert "there is no service" in done.out
    assert not [call for call in world.calls() if "describe-stacks" not in call and "sts" not in call]


def test_it_asks_first(twice_up, monkeypatch) -> None:
    world = twice_up
    refused = world.run("rollback")
    assert refused.status == 1
    assert "staging-aidlc-auth-service: staging-aidlc-auth:2 → staging-aidlc-auth:1." in refused.err
    assert "with --yes" in refused.err

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "no")
    assert "Nothing was changed" in world.run("rollback").err
    assert world.state()["service"].endswith(":2")
    monkeypatch.setattr("builtins.input", lambda question: "staging")
    assert world.run("rollback").status == 0
    assert world.state()["service"].endswith(":1")


def test_an_update_under_way_is_cancelled(twice_up, is_as_recorded) -> None:
    world = twice_up
    service_stack(world).become("UPDATE_IN_PROGRESS", "User Initiated")
    done = world.run("rollback", "--yes")
    assert done.status == 0, done.err
    is_as_recorded("rollback_cancels", world.calls())
    assert world.statuses()[SERVICE] == "UPDATE_ROLLBACK_COMPLETE"
    assert world.state()["service"].endswith(":2"), "what ran before the update runs"


@pytest.mark.parametrize(
    "status",
    [
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    ],
)
def test_nothing_but_an_update_under_way_is_cancelled(twice_up, status: str) -> None:
    world = twice_up
    stack = service_stack(world)
    stack.become(status, "User Initiated")
    if status.endswith("_IN_PROGRESS"):
        end = "UPDATE_ROLLBACK_COMPLETE" if "ROLLBACK" in status else "UPDATE_COMPLETE"
        stack.moments = [("event", "Thing", "UPDATE_COMPLETE")] * 2 + [("status", end)]
    assert world.run("rollback", "--yes").status == 0
    assert "cancel-update-stack" not in "".join(world.calls())


def test_an_update_that_ends_before_it_is_cancelled(twice_up, monkeypatch) -> None:
    world = twice_up
    stack = service_stack(world)
    stack.become("UPDATE_IN_PROGRESS")
    cancel = world.account.cloudformation.cancel_update_stack

    def too_late(asked):
        stack.become("UPDATE_COMPLETE")
        return cancel(asked)

    monkeypatch.setattr(world.account.cloudformation, "cancel_update_stack", too_late)
    done = world.run("rollback", "--yes")
    assert done.status == 0, done.err
    assert "had ended before it could be cancelled" in done.out
    assert world.state()["service"].endswith(":1"), "so the service goes back"


def test_a_rollback_that_failed_is_continued(twice_up, is_as_recorded) -> None:
    world = twice_up
    world.account.plant(f"{SERVICE}:update", resource="Scaling", reason="broken")
    world.account.plant(f"{SERVICE}:rollback", times=2, resource="Scaling", reason="it sticks")
    stuck = world.up("t3")
    assert stuck.status == 1
    assert "stack_update_rollback_failed: " in stuck.err
    assert "run `rollback` first" in world.up("t3").err

    world.calls()
    failed = world.run("rollback", "--yes")
    assert failed.status == 1
    assert "UPDATE_ROLLBACK_FAILED: UPDATE_FAILED Scaling it sticks" in failed.err

    world.calls()
    done = world.run("rollback", "--yes", "--skip", "Scaling")
    assert done.status == 0, done.err
    is_as_recorded("rollback_continues", world.calls())
    assert world.statuses()[SERVICE] == "UPDATE_ROLLBACK_COMPLETE"
    assert world.state()["service"].endswith(":2")
    assert world.up("t3").status == 0


def test_a_rollback_of_another_stack_is_continued_too(twice_up) -> None:
    world = twice_up
    world.account.cloudformation.stacks["staging-aidlc-auth-database"].become("UPDATE_ROLLBACK_FAILED")
    assert world.run("rollback", "--yes").status == 0
    assert world.statuses()["staging-aidlc-auth-database"] == "UPDATE_ROLLBACK_COMPLETE"
    assert world.state()["service"].endswith(":2"), "the service was not what was stuck"


def test_what_was_rolled_back_already_stays(twice_up) -> None:
    world = twice_up
    world.account.plant(f"{SERVICE}:update", resource="Service", reason="Circuit Breaker was triggered")
    assert world.up("t3").status == 1
    done = world.run("rollback", "--yes")
    assert done.status == 0
    assert "is back already: staging-aidlc-auth:2 runs" in done.out
    assert world.state()["service"].endswith(":2")


def test_the_stack_follows_a_service_that_ecs_rolled_back(twice_up) -> None:
    world = twice_up
    world.account.plant("breaker", reason="Task failed to start")
    assert world.up("t3").status == 1
    assert service_stack(world).parameters["RunningTaskDefinition"].endswith(":3")
    assert world.run("rollback", "--yes").status == 0
    assert service_stack(world).parameters["RunningTaskDefinition"].endswith(":2")
    assert world.run("status").status == 1  # for the alarm of the stand-in alone
    assert "see `rollback`" not in world.run("status").out
