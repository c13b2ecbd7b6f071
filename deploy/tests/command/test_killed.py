"""`up` and `rollback`, killed at every single call, before it took effect and after, and then run again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fake.account import Account
from world import Ended, Killed, World

SERVICE = "staging-aidlc-auth-service"


@pytest.mark.parametrize("after", [False, True], ids=["before_the_call", "after_the_call"])
def test_the_first_up_comes_to_the_same_end(world, after: bool) -> None:
    wherever_killed(world, after, prepare=lambda: None, command=world.up)


@pytest.mark.parametrize("after", [False, True], ids=["before_the_call", "after_the_call"])
def test_a_new_tag_comes_to_the_same_end(world, after: bool) -> None:
    wherever_killed(world, after, prepare=world.up, command=lambda: world.up("t2"))


@pytest.mark.parametrize("after", [False, True], ids=["before_the_call", "after_the_call"])
def test_going_back_comes_to_the_same_end(world, after: bool) -> None:
    def twice_up() -> None:
        world.up("t1")
        world.up("t2")

    wherever_killed(world, after, prepare=twice_up, command=lambda: world.run("rollback", "--yes"))


@pytest.mark.parametrize("after", [False, True], ids=["before_the_call", "after_the_call"])
def test_going_down_comes_to_the_same_end(world, after: bool) -> None:
    wherever_killed(world, after, prepare=world.up, command=lambda: world.run("down", "--yes", "--images"))


def test_a_migration_under_way_is_waited_for_and_not_run_twice(world) -> None:
    world.up()
    numbers = [at for at, call in enumerate(world.account.calls) if "run-task" in call]
    world.account = Account()
    killed(world, world.up, at=numbers[0], after=True)
    assert [task.status for task in world.account.ecs.tasks] == ["PROVISIONING"]
    resumed = world.up()
    assert resumed.status == 0
    assert "waits for the task that runs already" in resumed.out
    assert world.migrations() == 1


def test_a_roll_that_fails_after_its_command_was_killed_is_not_passed_on(world) -> None:
    def is_roll(call: list[str]) -> bool:
        return "update-stack" in call and "--use-previous-template" in call

    world.up()
    world.account.calls.clear()
    world.up("t2")
    roll = next(at for at, call in enumerate(world.account.calls) if is_roll(call))
    world.account = Account()
    world.up()
    world.account.plant(f"{SERVICE}:update", resource="Service", reason="it does not start")
    world.account.faults[f"{SERVICE}:update"].insert(0, None)  # the registration succeeds
    killed(world, lambda: world.up("t2"), roll, after=True)
    assert world.statuses()[SERVICE] == "UPDATE_IN_PROGRESS"

    world.account.plant("migrate", exit=1)
    assert world.up("t3").status == 1
    assert world.state()["service"].endswith(":1"), "the service is not rolled before the migration"


@pytest.mark.parametrize("after", [False, True], ids=["before_the_call", "after_the_call"])
@pytest.mark.parametrize("begins", [True, False], ids=["begins", "ends"])
def test_an_emergency_comes_to_the_same_end(world, begins: bool, after: bool) -> None:
    """The stand-in asserts that there are never two tasks with codes and sessions in their memories."""

    def prepare() -> None:
        for in_memory in [False] if begins else [False, True]:
            world.set_parameter("CacheInMemory", str(in_memory).lower())
            world.up()

    def command() -> Ended:
        world.set_parameter("CacheInMemory", str(begins).lower())
        return world.up()

    wherever_killed(world, after, prepare, command, of=lambda calls: [call for call in calls if "update-stack" in call and SERVICE in call])


def wherever_killed(
    world: World, after: bool, prepare: Callable, command: Callable, of: Callable[[list[str]], list[str]] | None = None
) -> None:
    """Kills the command at every call, or at those that `of` picks."""
    world.account = Account()
    prepare()
    world.calls()
    assert command().status == 0
    wanted, calls = world.state(), world.calls()
    assert len(calls) > 20
    picked = set(of(calls)) if of else set(calls)
    for at in [at for at, call in enumerate(calls) if call in picked]:
        world.account = Account()
        prepare()
        killed(world, command, at, after)
        resumed = command()
        assert resumed.status == 0, f"killed at call {at}: {resumed.err}"
        assert world.state() == wanted, f"killed at call {at}"


def killed(world: World, command: Callable, at: int, after: bool) -> None:
    """Runs the command until its call number `at`."""
    world.calls_made, world.kill_at, world.kill_after = 0, at, after
    with pytest.raises(Killed):
        command()
    world.kill_at = None
