"""The subscription to bounces: as soon as SNS can reach the service, and not before."""

from __future__ import annotations

import pytest

from world import World

NOT_YET = "bounces are not reported yet: run `up --from monitoring` once PUBLIC_URL's name points to the load balancer"


@pytest.fixture
def production(world: World) -> World:
    world.account.mail_is_simulated = False
    return world


def is_subscribed(world: World, env: str = "production") -> bool:
    return world.account.cloudformation.stacks[f"{env}-aidlc-auth-monitoring"].parameters["MailSubscription"] == "true"


def test_a_service_under_its_name_is_subscribed(production) -> None:
    done = production.up(env="production")
    assert done.status == 0, done.err
    assert is_subscribed(production)
    assert "PendingConfirmation" not in done.out


def test_without_the_name_it_is_subscribed_later(production) -> None:
    production.account.plant("name")
    done = production.up(env="production")
    assert done.status == 0, done.err
    assert NOT_YET in done.out
    assert not is_subscribed(production)
    assert production.up("t1", "--from", "monitoring", env="production").status == 0
    assert is_subscribed(production)


def test_once_subscribed_it_stays(production) -> None:
    production.up(env="production")
    production.account.plant("name")
    assert NOT_YET not in production.up(env="production").out
    assert is_subscribed(production)


def test_a_subscription_that_was_refused_does_not_count(production) -> None:
    name = "production-aidlc-auth-monitoring"
    production.account.plant(f"{name}:create", resource="BounceSubscription", reason="Unreachable Endpoint")
    assert production.up(env="production").status == 1
    production.account.plant("name")
    done = production.up(env="production")
    assert done.status == 0, done.err
    assert NOT_YET in done.out


def test_simulated_mail_does_not_bounce(world) -> None:
    assert NOT_YET not in world.up().out
    assert not is_subscribed(world, "staging")
    assert "health/live" not in "".join(world.calls())


def test_what_is_not_confirmed_is_said(production) -> None:
    production.account.plant("confirmation", times=1_000_000)
    said = "https://auth.example.com/api/mail/notifications: PendingConfirmation: bounces are not reported"
    assert said in production.up(env="production").out
    assert said in production.run("status", env="production").out


def test_a_moment_is_given_to_confirm_it(production) -> None:
    production.account.plant("confirmation", times=2)
    assert "PendingConfirmation" not in production.up(env="production").out
