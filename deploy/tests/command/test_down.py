"""`down`: in the reverse order, and only what may go."""

from __future__ import annotations

import pytest

from world import writing


@pytest.fixture
def is_up(world):
    assert world.up().status == 0
    world.calls()
    return world


def test_the_last_goes_first(is_up, is_as_recorded) -> None:
    done = is_up.run("down", "--yes", "--images")
    assert done.status == 0, done.err
    is_as_recorded("down", is_up.calls())
    is_as_recorded("down.output", done.out.splitlines())
    assert not is_up.statuses()
    assert is_up.run("down", "--yes", "--images").status == 0, "again there is nothing to do"


def test_images_stay_unless_they_are_named(is_up) -> None:
    done = is_up.run("down", "--yes")
    assert done.status == 0
    assert list(is_up.statuses()) == ["staging-aidlc-auth-registry"]
    assert is_up.account.images == ["t1"]
    assert "stays, for its images; --images deletes them too" in done.out
    assert is_up.up().status == 0


@pytest.mark.parametrize(
    ("protected", "parameter"), [("database", "DatabaseDeletionProtection"), ("balancer", "AlbDeletionProtection")]
)
def test_nothing_is_begun_that_could_not_be_finished(is_up, protected: str, parameter: str) -> None:
    is_up.account.protected = [protected]
    refused = is_up.run("down", "--yes")
    assert refused.status == 1
    assert f'set {parameter} to "false" in deploy/params/staging.json, run `up`, then `down`' in refused.err
    assert "delete-stack" not in "".join(is_up.calls())


@pytest.mark.parametrize(("stack", "protected"), [("database", "database"), ("service", "balancer")])
def test_protection_is_seen_of_a_stack_without_outputs_too(is_up, stack: str, protected: str) -> None:
    is_up.account.cloudformation.stacks[f"staging-aidlc-auth-{stack}"].outputs = {}
    is_up.account.protected = [protected]
    assert "Nothing was deleted" in is_up.run("down", "--yes").err
    assert "delete-stack" not in "".join(is_up.calls())


def test_production_wants_its_name_typed(world, monkeypatch) -> None:
    world.account.mail_is_simulated = False
    assert world.up(env="production").status == 0
    world.calls()
    refused = world.run("down", "--yes", env="production")
    assert refused.status == 1
    assert "Everything of production is deleted, its database with it." in refused.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    assert world.run("down", env="production").status == 1
    assert writing(world.calls()) == []
    monkeypatch.setattr("builtins.input", lambda question: "production")
    assert world.run("down", "--images", env="production").status == 0
    assert not world.statuses()


def test_an_export_in_use_is_named(is_up) -> None:
    other = is_up.account.cloudformation.stacks["staging-aidlc-auth-endpoints"]
    is_up.account.cloudformation.stacks = {"elsewhere": other, **is_up.account.cloudformation.stacks}
    other.name = "elsewhere"
    del is_up.account.cloudformation.stacks["staging-aidlc-auth-endpoints"]
    stuck = is_up.run("down", "--yes")
    assert stuck.status == 1
    assert "Cannot delete export staging-aidlc-auth-private-subnet-ids as it is in use by elsewhere" in stuck.err
    assert "export_in_use: " in stuck.err


def test_images_go_after_the_index_that_refers_to_them(is_up) -> None:
    is_up.account.images += ["amd64", "attestation"]
    is_up.account.index_of = {"amd64": "t1", "attestation": "amd64"}
    assert is_up.run("down", "--yes", "--images").status == 0
    assert sum("batch-delete-image" in call for call in is_up.calls()) == 3
    assert not is_up.statuses() and not is_up.account.images


def test_images_that_stay_say_why(is_up) -> None:
    is_up.account.index_of = {"t1": "t1"}
    stuck = is_up.run("down", "--yes", "--images")
    assert stuck.status == 1
    assert "images that cannot be deleted are left: Requested image referenced by manifest list" in stuck.err
    assert "staging-aidlc-auth-registry" in is_up.statuses()


def test_a_stack_that_cannot_be_deleted_says_why_and_is_tried_again(is_up) -> None:
    is_up.account.plant("staging-aidlc-auth-network:delete", resource="Vpc", reason="has dependencies")
    stuck = is_up.run("down", "--yes", "--images")
    assert stuck.status == 1
    assert "staging-aidlc-auth-network: DELETE_FAILED: DELETE_FAILED Vpc has dependencies" in stuck.err
    assert is_up.run("down", "--yes", "--images").status == 0
    assert not is_up.statuses()
