"""The commands that look: status, logs, doctor, run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aidlc_deploy.logs import PATTERNS


@pytest.fixture
def is_up(world):
    assert world.up().status == 0
    world.calls()
    return world


def test_preflight_is_asked_as_the_operator_asks(world, monkeypatch) -> None:
    asked = {}
    monkeypatch.setattr("aidlc_deploy.preflight.run", lambda environment, aws, parameters, **how: asked.update(how) or 1)
    assert world.run("preflight", "--templates-only", "--json", "--language", "ko").status == 1
    assert asked.pop("templates")[0].name == "network"
    assert asked == {"json": True, "language": "ko", "templates_only": True}


def test_status_is_one_screen(is_up, is_as_recorded) -> None:
    done = is_up.run("status")
    is_as_recorded("status.output", done.out.splitlines())
    assert done.status == 1, "an alarm is raised"
    assert len(done.out.splitlines()) < 25


def test_status_of_nothing(world) -> None:
    done = world.run("status")
    assert done.status == 1
    assert done.out.count("not there") == 9


def test_status_shows_why_a_stack_failed_and_tasks_stopped(is_up) -> None:
    is_up.account.plant("breaker", reason="OutOfMemoryError: Container killed due to memory usage")
    is_up.up("t2")
    is_up.account.plant("staging-aidlc-auth-network:update", resource="Vpc", reason="Quota exceeded")
    is_up.set_parameter("VpcCidr", "10.9.0.0/16")
    is_up.up("t2")
    out = is_up.run("status").out
    assert "UPDATE_FAILED Vpc Quota exceeded" in out
    assert "staging-aidlc-auth:2 stopped: OutOfMemoryError" in out
    assert "the stack names staging-aidlc-auth:2, the service runs staging-aidlc-auth:1: see `rollback`" in out


def test_logs_are_searched_by_words(is_up) -> None:
    is_up.account.log.append({"message": "INFO: all is well", "timestamp": 1, "eventId": "x", "logStreamName": "ecs/a/1"})
    done = is_up.run("logs", "--since", "2h", "--pattern", 'all is "well"')
    assert done.status == 0
    assert "--filter-pattern '\"all is \\\"well\\\"\"'" in is_up.calls()[1]
    assert "1970-01-01T00:00:00Z 1 INFO: all is well" in is_up.run("logs").out
    assert "is no span of time" in is_up.run("logs", "--since", "yesterday").err


def test_logs_are_followed_until_ctrl_c(is_up, monkeypatch) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    done = is_up.run("logs", "--follow")
    assert done.status == 0
    assert done.out.count("이메일 발송 시뮬레이션") == 1, "no line twice"
    assert len(is_up.calls()) == 1 + 3


def test_the_words_worth_searching_for_are_those_of_the_guide(world) -> None:
    listed = world.run("logs", "--patterns", "--language", "ko").out
    guide = (Path(__file__).parents[3] / "docs" / "operating" / "README.md").read_text("utf-8")
    for pattern, (_, korean) in PATTERNS.items():
        assert f"`{pattern}`" in guide
        assert pattern in listed and korean in listed


def test_the_doctor_runs_inside_and_ends_as_it_did(is_up) -> None:
    is_up.account.plant("doctor", exit=1, lines=["FAILED 23 redis_tls"])
    done = is_up.run("doctor", "--language", "ko")
    assert (done.status, done.out.splitlines()[-1]) == (1, "FAILED 23 redis_tls")
    call = next(call for call in is_up.calls() if "run-task" in call)
    assert '"command": ["doctor", "--language", "ko"]' in call
    assert '"assignPublicIp": "DISABLED"' in call


def test_the_doctor_tells_programs_in_json(is_up) -> None:
    is_up.account.plant("doctor", exit=0, lines=["[", "]"])
    done = is_up.run("doctor", "--json")
    assert done.out.splitlines()[-2:] == ["[", "]"]
    assert '"command": ["doctor", "--json"]' in next(call for call in is_up.calls() if "run-task" in call)


@pytest.mark.parametrize(
    ("words", "looks_per_line"),
    # Only of JSON can be told that more is to come where nothing has come for a while.
    [(["doctor", "--json"], 3), (["doctor"], 1), (["run", "--", "doctor"], 1)],
)
def test_a_log_that_arrives_in_parts_is_read_to_its_end(is_up, words: list[str], looks_per_line: int) -> None:
    is_up.account.looks_per_line = looks_per_line
    lines = ["[", '{"code": "redis_tls"},', '{"code": "clock"},', '{"code": "disk"}', "]"]
    is_up.account.plant("doctor", exit=0, lines=lines)
    assert is_up.run(*words).out.splitlines()[-5:] == lines


def test_a_log_that_is_never_whole_is_shown_as_it_is(is_up) -> None:
    is_up.account.plant("doctor", exit=137, lines=["[", '{"code": "redis_tls"},'])
    assert is_up.run("doctor", "--json").out.splitlines()[-2:] == ["[", '{"code": "redis_tls"},']


def test_a_doctor_that_cannot_start_is_explained(is_up) -> None:
    is_up.account.plant("doctor", exit=None, reason="CannotPullContainerError: not found")
    done = is_up.run("doctor")
    assert done.status == 1
    assert "image_pull: " in done.err


def test_a_doctor_before_the_first_service(world) -> None:
    done = world.run("doctor")
    assert done.status == 1
    assert "Run `up`" in done.err


def test_operator_tasks_take_their_own_words(is_up) -> None:
    is_up.account.plant("users", exit=3, lines=["there is no account a@example.com"])
    done = is_up.run("run", "--", "users", "show", "a@example.com")
    assert done.status == 3
    assert "there is no account" in done.out
    call = next(call for call in is_up.calls() if "run-task" in call)
    assert json.dumps(["users", "show", "a@example.com"]) in call
