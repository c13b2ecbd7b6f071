"""`up`: whole call sequences of good days, and what each kind of bad day comes to."""

from __future__ import annotations

import re

import pytest

from aidlc_deploy import preflight, up

STACKS = ["network", "security-groups", "database", "iam", "endpoints", "registry", "service", "monitoring"]
NAMES = [f"staging-aidlc-auth-{name}" for name in STACKS]


def test_the_first_time_everything_is_made_in_order(world, is_as_recorded) -> None:
    done = world.up()
    assert done.status == 0, done.err
    is_as_recorded("first_up", world.calls())
    is_as_recorded("first_up.output", done.out.splitlines())
    assert list(world.statuses()) == NAMES
    assert world.account.images == ["t1"]
    assert world.migrations() == 1
    assert world.account.accounts, "the check made an account"


def test_a_service_is_up_once_its_targets_are_healthy(world) -> None:
    world.up()
    assert world.account.ecs.service["probes_left"] == 0


def test_again_nothing_is_changed(world, is_as_recorded) -> None:
    world.up()
    world.calls()
    before = world.state()
    assert world.up().status == 0
    is_as_recorded("up_again", world.calls())
    assert world.state() == before
    assert world.migrations() == 1


def test_a_new_tag_is_migrated_before_it_takes_traffic(world, is_as_recorded) -> None:
    world.up()
    world.calls()
    assert world.up("t2").status == 0
    calls = world.calls()
    is_as_recorded("new_tag", calls)
    migrated = next(at for at, call in enumerate(calls) if "run-task" in call)
    rolled = next(at for at, call in enumerate(calls) if "update-stack" in call and "auth:2" in call)
    assert migrated < rolled
    assert world.state()["service"].endswith(":2")


def test_a_tag_that_the_registry_has_is_taken(world) -> None:
    world.account.images.append("t1")
    assert world.up().status == 0
    assert not [call for call in world.calls() if call.startswith(("buildah", "deploy/image/build"))]


def test_the_tag_is_the_commit(world) -> None:
    for words in ["init -q", "add .", "-c user.name=a -c user.email=a@example.com commit -q -m one"]:
        world.real_run(["git", *words.split()], cwd=world.folder, check=True)
    assert world.run("up", "--from", "network").status == 0
    assert re.fullmatch("[0-9a-f]{12}", world.account.images[0])

    # The image knows no parameters: to change them needs neither a commit nor another image.
    world.set_parameter("VpcCidr", "10.9.0.0/16")
    world.calls()
    assert world.run("up", "--from", "network").status == 0
    for words in ["add .", "-c user.name=a -c user.email=a@example.com commit -q -m two"]:
        world.real_run(["git", *words.split()], cwd=world.folder, check=True)
    assert world.run("up", "--from", "network").status == 0
    assert len(world.account.images) == 1
    assert not [call for call in world.calls() if call.startswith(("buildah", "deploy/image/build"))]

    (world.root / "new.py").write_text("")
    refused = world.run("up", "--from", "network")
    assert refused.status == 1
    assert "commit first, or name a tag with --image-tag" in refused.err


def test_steps_are_skipped_by_name(world) -> None:
    world.up()
    world.calls()
    assert world.run("up", "--image-tag", "t1", "--from", "stable").status == 0
    assert "update-stack --stack-name staging-aidlc-auth-service" not in "".join(world.calls())
    assert "there is no step nonsense: preflight, network," in world.run("up", "--image-tag", "t1", "--from", "nonsense").err


def test_what_preflight_finds_stops_it(world, monkeypatch) -> None:
    asked = []

    def look(*args, **more):
        asked.append((args, more))
        print("what was found")
        return 1

    monkeypatch.setattr(preflight, "run", look)
    assert "# what was found\n" in world.run("up", "--image-tag", "t1", "--dry-run").out
    asked.clear()
    world.calls()
    done = world.run("up", "--image-tag", "t1")
    assert done.status == 1
    assert "preflight found what would fail" in done.err
    assert world.calls() == ["aws sts get-caller-identity"]
    (environment, aws, parameters), more = asked[0]
    assert (environment, aws.region, parameters.region) == ("staging", "us-east-1", "us-east-1")
    assert more["before_up"] and more["language"] == "en"
    assert [template.name for template in more["templates"]] == STACKS


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_that_cannot_be_created_says_why_and_is_made_anew(world, name: str) -> None:
    world.account.plant(f"{name}:create", resource="Thing", reason="Subnet is full (Service: Ec2)")
    failed = world.up()
    assert failed.status == 1
    assert f"{name}: ROLLBACK_COMPLETE: CREATE_FAILED Thing Subnet is full (Service: Ec2)" in failed.err
    assert "cancelled" not in failed.err
    later = NAMES[NAMES.index(name) + 1 :]
    assert not [stack for stack in later if stack in world.statuses()], "nothing after it was begun"

    resumed = world.up()
    assert resumed.status == 0, resumed.err
    assert f"{name}: ROLLBACK_COMPLETE: it never was complete, so it is deleted and made anew" in resumed.out
    assert set(world.statuses()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_that_cannot_be_updated_says_why_and_is_tried_again(world, name: str) -> None:
    world.up()
    template = next(world.root.glob(f"cloudformation/*-{name.removeprefix('staging-aidlc-auth-')}.yaml"))
    template.write_text(template.read_text("utf-8") + "# changed\n", "utf-8")
    world.account.plant(f"{name}:update", resource="Thing", reason="Quota exceeded")
    failed = world.up()
    assert failed.status == 1
    assert f"{name}: UPDATE_ROLLBACK_COMPLETE: UPDATE_FAILED Thing Quota exceeded" in failed.err
    assert world.up().status == 0
    assert world.statuses()[name] == "UPDATE_COMPLETE"


def test_a_reason_that_is_known_comes_with_its_remedy(world) -> None:
    reason = "Export staging-aidlc-auth-vpc-id cannot be updated as it is in use by staging-aidlc-auth-service"
    world.account.plant("staging-aidlc-auth-iam:create", times=2, resource="Role", reason=reason)
    assert "\n  export_in_use: " in world.up().err
    korean = world.run("up", "--image-tag", "t1", "--from", "network", "--language", "ko").err
    assert "\n  → " in korean and "십시오" in korean


def test_what_is_not_of_the_list_is_told_in_korean_too(world) -> None:
    file = world.root / "params" / "staging.json"
    file.write_text(file.read_text("utf-8").replace("VpcCidr", "Elsewhere"), "utf-8")
    told = world.run("up", "--image-tag", "t1", "--from", "network", "--language", "ko").err
    assert "1-network.yaml: 다음 파라미터가 없습니다. deploy/params/<env>.json에 추가하십시오: VpcCidr" in told


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"])
def test_what_never_was_complete_is_made_anew(world, status: str) -> None:
    world.up()
    world.account.cloudformation.stacks[NAMES[-1]].status = status
    world.calls()
    assert world.up().status == 0
    calls = "\n".join(world.calls())
    assert f"delete-stack --stack-name {NAMES[-1]}" in calls
    assert f"create-stack --stack-name {NAMES[-1]}" in calls


@pytest.mark.parametrize(("stack", "protected"), [("database", "database"), ("service", "balancer")])
def test_protection_does_not_keep_what_never_was_complete(world, stack: str, protected: str) -> None:
    name = f"staging-aidlc-auth-{stack}"
    world.account.protected = [protected]
    world.account.plant(f"{name}:create", resource="Thing", reason="Quota exceeded")
    assert f"{name}: ROLLBACK_FAILED" in world.up().err
    world.account.plant("modify")  # RDS is busy at first
    resumed = world.up()
    assert resumed.status == 0, resumed.err
    assert "never was in use: its deletion protection is lifted" in resumed.out
    assert not world.account.protected


@pytest.mark.parametrize(("stack", "protected"), [("database", "database"), ("service", "balancer")])
def test_nor_where_someone_tried_to_delete_it(world, stack: str, protected: str) -> None:
    name = f"staging-aidlc-auth-{stack}"
    world.account.protected = [protected]
    world.account.plant(f"{name}:create", resource="Thing", reason="Quota exceeded")
    world.up()
    cloudformation = world.account.cloudformation
    cloudformation.delete_stack({"stack-name": [name]})
    cloudformation.describe_stacks({"stack-name": [name]})
    cloudformation.describe_stacks({"stack-name": [name]})
    assert world.statuses()[name] == "DELETE_FAILED"
    assert world.up().status == 0


def test_protection_is_not_lifted_of_what_was_complete(world) -> None:
    world.up()
    name = "staging-aidlc-auth-database"
    world.account.protected = ["database"]
    world.account.cloudformation.stacks[name].become("DELETE_FAILED")
    refused = world.up()
    assert refused.status == 1
    assert "run `down` again" in refused.err
    assert world.account.protected and world.statuses()[name] == "DELETE_FAILED"


def test_nor_of_what_has_its_name_alone(world) -> None:
    world.account.plant("staging-aidlc-auth-database:create", resource="Database", reason="it already exists")
    world.up()
    world.account.protected = ["database"]
    world.account.has_left = lambda *_: True
    world.account.cloudformation.account.protected_in = lambda stack: None
    assert world.up().status == 0
    assert world.account.protected == ["database"]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("UPDATE_ROLLBACK_FAILED", "run `rollback` first"),
        ("DELETE_FAILED", "run `down` again"),
        ("UPDATE_FAILED", f"`aws cloudformation rollback-stack --stack-name {NAMES[0]} --region us-east-1`"),
    ],
)
def test_what_takes_no_update_names_the_way_out(world, status: str, remedy: str) -> None:
    world.up()
    world.account.cloudformation.stacks[NAMES[0]].status = status
    refused = world.up()
    assert refused.status == 1
    assert remedy in refused.err
    assert world.account.cloudformation.stacks[NAMES[0]].status == status, "nothing was deleted"


def test_what_someone_else_began_is_waited_for(world) -> None:
    world.up()
    stack = world.account.cloudformation.stacks[NAMES[0]]
    stack.become("UPDATE_IN_PROGRESS", "User Initiated")
    stack.moments = [("event", "Vpc", "UPDATE_IN_PROGRESS"), ("status", "UPDATE_COMPLETE")]
    done = world.up()
    assert done.status == 0
    assert f"{NAMES[0]}: UPDATE_IN_PROGRESS Vpc" in done.out


def test_a_single_step_waits_for_it_too(world) -> None:
    world.up()
    stack = world.account.cloudformation.stacks["staging-aidlc-auth-service"]
    stack.become("UPDATE_IN_PROGRESS", "User Initiated")
    stack.moments = [("event", "Service", "UPDATE_IN_PROGRESS")] * 5 + [("status", "UPDATE_COMPLETE")]
    assert world.run("up", "--image-tag", "t1", "--from", "service").status == 0


def test_a_wait_ends(world) -> None:
    world.up()
    world.account.cloudformation.stacks[NAMES[0]].become("UPDATE_IN_PROGRESS")
    stopped = world.up()
    assert stopped.status == 1
    assert f"{NAMES[0]}: not within 0.05 minutes" in stopped.err
    assert "run the same command again to go on waiting" in stopped.err


def test_what_is_refused_for_a_moment_is_asked_again(world, monkeypatch) -> None:
    original, answers = world.account.cloudformation.describe_stacks, [True, False]

    def describe_stacks(asked):
        from fake.answers import Refused

        if answers and not answers.pop():
            raise Refused("Throttling", "Rate exceeded")
        return original(asked)

    monkeypatch.setattr(world.account.cloudformation, "describe_stacks", describe_stacks)
    done = world.up()
    assert done.status == 0
    assert not answers
    assert done.err.count("is asked again: Rate exceeded") == 1


def test_where_it_happens_is_said(world) -> None:
    assert world.up().err == "aidlc-deploy: staging in account 123456789012, us-east-1\n"


def test_without_a_way_to_aws_it_ends_at_once(world, monkeypatch) -> None:
    def refused(*_):
        from fake.answers import Refused

        raise Refused("ExpiredToken", "The security token included in the request is expired")

    monkeypatch.setattr(world.account, "sts_get_caller_identity", refused)
    done = world.up()
    assert done.status == 1
    assert "ExpiredToken" in done.err
    assert len(world.calls()) == 1


def test_a_parameter_that_nobody_gives_is_named(world) -> None:
    file = world.root / "params" / "staging.json"
    file.write_text(file.read_text("utf-8").replace("VpcCidr", "Elsewhere"), "utf-8")
    refused = world.up()
    assert refused.status == 1
    assert "1-network.yaml needs VpcCidr: add it to deploy/params/<env>.json" in refused.err


def test_an_image_that_is_not_built_stops_it(world) -> None:
    world.account.plant("build")
    assert "the image was not built" in world.up().err
    assert "staging-aidlc-auth-service" not in world.statuses()
    assert world.up().status == 0


def test_a_push_that_is_refused_is_named(world) -> None:
    world.account.plant("push")
    assert "image_tag_taken: " in world.up().err


def test_a_failed_migration_leaves_the_service_alone(world) -> None:
    world.up()
    world.calls()
    before = world.state()["service"]
    line = 'no pg_hba.conf entry for host "10.0.12.203", user "postgres", database "aidlc_auth", no encryption'
    world.account.plant("migrate", exit=1, lines=["reading the settings", line])
    failed = world.up("t2")
    assert failed.status == 1
    assert "migrate ended with 1: Essential container in task exited. The service was not touched." in failed.err
    assert "database_no_encryption: " in failed.err
    assert f"migrate: {line}" in failed.out
    assert world.state()["service"] == before
    assert "UsePreviousValue" not in "".join(world.calls()), "the second update was not begun"

    assert world.up("t2").status == 0
    assert world.state()["service"].endswith(":2")


def test_a_migration_that_never_started_says_why(world) -> None:
    reason = "ResourceInitializationError: unable to pull secrets or registry auth"
    world.account.plant("migrate", exit=None, reason=reason)
    failed = world.up()
    assert f"migrate ended with None: {reason}" in failed.err
    assert "resource_initialization: " in failed.err


def test_a_service_that_ecs_rolled_back_is_not_taken_for_deployed(world) -> None:
    world.up()
    reason = "Task failed ELB health checks in (target-group arn:aws:x)"
    world.account.plant("breaker", reason=reason)
    failed = world.up("t2")
    assert world.statuses()["staging-aidlc-auth-service"] == "UPDATE_COMPLETE", "the stack is green"
    assert failed.status == 1
    assert "runs staging-aidlc-auth:1, not staging-aidlc-auth:2: ECS rolled it back" in failed.err
    assert reason in failed.err
    assert "service_rolled_back: " in failed.err

    assert world.up("t2").status == 1, "it does not become well by being run again"
    assert world.up("t3").status == 0
    assert world.state()["service"].endswith(":3")


def test_a_service_that_does_not_come_up_shows_its_tasks(world) -> None:
    world.up()
    stopped = "CannotPullContainerError: pull image manifest has been retried"
    reason = "Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'."
    world.account.plant("staging-aidlc-auth-service:update", resource="Service", reason=reason)
    # The first update registers the revision; only the second lets the service run it.
    faults = world.account.faults["staging-aidlc-auth-service:update"]
    faults.insert(0, None)
    faults[1]["stopped"] = stopped
    failed = world.up("t2")
    assert failed.status == 1
    assert f"UPDATE_FAILED Service {reason}" in failed.err
    assert "\n  service_rolled_back: " in failed.err
    assert f"staging-aidlc-auth:2 stopped: {stopped}; exit 1" in failed.out
    assert world.up("t2").status == 0


def test_a_wrong_order_is_named(world) -> None:
    failed = world.run("up", "--image-tag", "t1", "--from", "security-groups")
    assert failed.status == 1
    assert "No export named staging-aidlc-auth-private-subnet-ids found" in failed.err
    assert "export_missing: " in failed.err


def test_ctrl_c_says_that_it_can_be_taken_up_again(world, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(up.image, "publish", interrupted)
    done = world.up()
    assert done.status == 130
    assert "the same command goes on from there" in done.err
