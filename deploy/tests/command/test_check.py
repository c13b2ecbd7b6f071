"""The check after a deployment: what it asks, and what it does not take for an answer."""

from __future__ import annotations

import re

import pytest

from fake.programs import CODE


@pytest.mark.parametrize(
    ("path", "status", "body", "said"),
    [
        ("register", 503, {"code": "unavailable"}, "register was answered 503 unavailable, not 202 with challenge_id"),
        ("verify-registration", 201, {}, "verify-registration was answered 201 , not 201 with session_token"),
        ("login", 200, {"challenge_id": "x"}, "login was answered 200 , not 202 with challenge_id"),
    ],
)
def test_a_service_that_answers_wrongly_is_not_up(world, path: str, status: int, body: dict, said: str) -> None:
    world.account.plant(path, status=status, body=body)
    failed = world.up()
    assert failed.status == 1
    assert said in failed.err


def test_a_name_that_is_not_known_yet_is_waited_for(world) -> None:
    world.account.plant("connection", times=2)
    assert world.up().status == 0
    assert sum("/register" in call for call in world.calls()) == 3


def test_a_load_balancer_that_nobody_reaches_is_given_up(world) -> None:
    world.account.plant("connection", times=1_000_000)
    assert "a connection to alb.example: not within" in world.up().err


def test_production_sends_its_mail_to_the_simulator_and_refuses_a_wrong_code(world) -> None:
    world.account.mail_is_simulated = False
    done = world.up(env="production")
    assert done.status == 0, done.err
    assert "refuses a wrong code" in done.out
    assert [re.sub("-[0-9a-f]{12}", "", email) for email in world.account.mails] == [
        "success+aidlc-deploy@simulator.amazonses.com"
    ]
    calls = "\n".join(world.calls())
    assert "https://auth.example.com/api/auth/login --connect-to auth.example.com:443:alb.example:443" in calls
    assert "filter-log-events" not in calls, "no code is looked for"


def test_production_must_not_take_a_wrong_code(world) -> None:
    world.account.mail_is_simulated = False
    world.account.plant("verify-registration", status=201, body={"session_token": "x"})
    assert "verify-registration was answered 201 , not 400 with code" in world.up(env="production").err


def test_the_mailed_code_is_not_shown(world) -> None:
    done = world.up()
    assert CODE not in done.out + done.err + "".join(world.calls())
