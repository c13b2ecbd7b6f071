"""The stack boots: what the eight stacks describe, run as AWS would run it, and used.

The tests are one story and run in this order: the service that one starts is the next one's.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import threading
import time
import urllib.parse
from collections import Counter
from pathlib import Path

from people import Answer, Crowd, Person, all_at_once
from region import Region
from task import Size, container_id, counters

ROOT = Path(__file__).resolve().parents[3]
# What makes the crowds; each person has an address of their own, for limits count by address.
STAYING, USING = range(10, 20), range(30, 38)


def test_the_tables_are_made_by_a_task_of_their_own(region: Region) -> None:
    task = region.run("migrate", ["migrate"])
    assert task.exit_code == 0, task.log()


def test_the_doctor_finds_nothing_failing(region: Region) -> None:
    task = region.run("doctor", ["doctor", "--json"])
    assert task.exit_code == 0, task.log()
    findings = {finding["code"]: finding["status"] for finding in json.loads(task.log())}
    print(f"the doctor's findings: {findings}")
    assert {"database_version", "tables_missing", "redis_eviction", "out_of_memory", "proxy_trust"} <= findings.keys()


def test_it_is_healthy_within_the_grace_period(region: Region) -> None:
    task = region.begin("first", region.definition)
    ready = region.until_ready(task)
    healthy = region.until_healthy(task)
    grace = int(region.account.parameter("service", "HealthCheckGraceSeconds"))
    print(f"cold start at {region.definition.size.cpu / 1024} CPU: ready after {ready:.2f} s, "
          f"healthy for the balancer after {healthy:.1f} s of {grace}")
    assert healthy < grace
    region.serve_by(task)


def test_the_containers_own_health_check_passes(region: Region) -> None:
    kind, *command = region.definition.container["healthCheck"]["command"]
    assert kind == "CMD"
    done = subprocess.run(["runc", "exec", container_id(region.current.name), *command], timeout=30)
    assert done.returncode == 0


def test_it_runs_with_nothing_of_roots(region: Region) -> None:
    container = region.definition.container
    assert container["user"] == "65532:65532" and container["readonlyRootFilesystem"] is True
    status = dict(line.split(":\t", 1) for line in region.current.status().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4 and status["Gid"].split() == ["65532"] * 4
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert region.current.root_is_read_only()


def test_someone_signs_up_in_and_out(region: Region) -> None:
    ada = region.person("ada", 7)
    ada.sign_up()
    assert ada.session().body["user"]["email"] == ada.email
    ada.sign_in()
    before = ada.token
    ada.refresh()
    assert ada.token != before and ada.session().status == 200
    ada.log_out()
    assert ada.session().status == 401
    # Who puts another address into the header is told apart by what the balancer adds behind it.
    ada.call("POST", "/api/auth/login", {"email": "nobody@example.com"}, {"X-Forwarded-For": "198.51.100.1"})
    # Whoever is counted and audited is the client, not the balancer.
    clients = {line["client"] for line in region.audit() if "client" in line}
    assert clients == {ada.address}


def test_the_password_of_the_database_was_read_by_the_service_itself(region: Region) -> None:
    assert region.credentials.asked > 0, "nobody asked for the role's credentials"
    assert not any("PASSWORD" in name and "REDIS" not in name for name in region.definition.environment())
    assert "tls\":true" in region.current.log()


def test_a_rotated_password_needs_no_restart(region: Region) -> None:
    region.rotate_database_password()
    region.person("grace", 8).sign_up()


def test_an_update_and_its_roll_back_lose_nothing(region: Region) -> None:
    staying = [region.person(f"stays{at}", at) for at in STAYING]
    using = [region.person(f"uses{at}", at) for at in USING]
    for person in staying + using:
        person.sign_up()
    answered_before = len(region.balancer.statuses())
    first, second = region.definition, region.revise()
    assert second.described["revision"] > first.described["revision"]
    assert second.container["image"] != first.container["image"]
    for name, definition in (("second", second), ("first-again", first)):
        with Crowd(using) as crowd:
            old = region.current
            new = region.begin(name, definition)
            region.until_healthy(new)
            region.serve_by(new)
            # ECS waits for the deregistration delay before it stops the old one; this does not.
            stopped = old.stop(definition.stop_timeout)
            time.sleep(1)
        print(f"rolled to {name}: {sum(crowd.statuses.values())} requests, {dict(crowd.statuses)}")
        assert stopped == 0, old.log()[-2000:]
        assert crowd.broken == [] and set(crowd.statuses) == {200}, region.complaints()
        assert sum(crowd.statuses.values()) > 100
    failed = [status for status in region.balancer.statuses()[answered_before:] if status >= 500]
    assert failed == []
    assert [person.session().status for person in staying + using] == [200] * len(staying + using)


def test_it_drains_within_its_stop_timeout_and_fails_no_request(region: Region) -> None:
    task, stop_timeout = region.current, region.definition.stop_timeout
    # Slow enough to be under way when the signal comes: each is a password hash at a quarter of a processor.
    slow = [region.person(f"slow{at}", at) for at in range(60, 76)]
    outcomes: list[Answer | Exception] = []
    registering = threading.Thread(target=lambda: outcomes.extend(all_at_once([each.register for each in slow])))
    using = [region.person(f"uses{at}", at) for at in USING]
    for person in using:
        if not person.token:
            person.sign_up()
    with Crowd(using) as crowd:
        time.sleep(1)
        registering.start()
        time.sleep(0.3)
        began = time.monotonic()
        task.signal(signal.SIGTERM)
        assert registering.is_alive(), "none of the slow requests was under way"
        # Until the balancer knows, requests come as before.
        time.sleep(2)
    region.balancer.route_to([])
    registering.join()
    exit_code = task.wait(stop_timeout)
    took = time.monotonic() - began
    print(f"drained in {took:.1f} s of {stop_timeout}: {sum(crowd.statuses.values())} requests around it")
    assert exit_code == 0 and took < stop_timeout
    assert crowd.broken == [] and set(crowd.statuses) == {200}, region.complaints()
    assert [getattr(outcome, "status", outcome) for outcome in outcomes] == [202] * len(slow)
    assert '"message":"stopped"' in task.log() and "connections were cut" not in task.log()


def test_two_hundred_register_at_once_within_its_memory(region: Region) -> None:
    task = region.begin("crowded", region.definition)
    region.until_ready(task)
    region.serve_by(task)
    outcomes = all_at_once([region.person(f"crowd{at}", at).register for at in range(1, 201)])
    statuses = Counter(getattr(outcome, "status", repr(outcome)) for outcome in outcomes)
    counted = counters(task.name)
    print(f"200 registrations at once: {dict(statuses)}; peak of memory {counted['memory_peak'] / 2**20:.0f} MiB "
          f"of {region.definition.size.memory_mib}; throttled {counted['throttled']} times")
    assert set(statuses) <= {202, 503} and statuses[202] > 0
    assert all("retry-after" in outcome.headers for outcome in outcomes if outcome.status == 503)
    assert counted["throttled"] > 0, "the processor was never short, so this says nothing"
    assert task.stop(region.definition.stop_timeout) == 0


def test_with_less_memory_than_a_password_takes_it_is_killed(region: Region) -> None:
    """That the limit of the test before was one, and that its breach would have been seen."""
    task = region.begin("cramped", region.definition, Size(region.definition.size.cpu, 16))
    assert task.wait(30) == 137


# The service cannot tell by its settings that these are missing: not every Redis asks for a password, not every
# service has a balancer. It waits, not ready, or takes all users for one; the doctor names what is missing.
MISSED_BY_THE_DOCTOR = {"REDIS_PASSWORD", "TRUSTED_PROXIES"}
# The region stands in the secret's ARN too.
OPTIONAL = {"AWS_DEFAULT_REGION"}


def test_whatever_has_no_default_is_missed_by_name(region: Region) -> None:
    definition = region.definition
    told = {**definition.plain(), **definition.secret()}
    needed = sorted(told.keys() - with_default() - OPTIONAL)
    assert set(needed) == MISSED_BY_THE_DOCTOR | {
        "DATABASE_SECRET_ARN", "DATABASE_URL", "MAIL_FROM", "MAIL_TRANSPORT", "PUBLIC_URL", "REDIS_URL", "SECRET_KEYS"
    }
    for name in needed:
        environment = {key: value for key, value in definition.environment().items() if key != name}
        command = ["doctor"] if name in MISSED_BY_THE_DOCTOR else []
        task = region.run(f"without-{name.lower().replace('_', '-')}", command, environment, within=30)
        assert task.exit_code in (1, 2), f"without {name} it ended with {task.exit_code}:\n{task.log()}"
        assert name in task.log(), f"without {name}:\n{task.log()}"
        for value in definition.secret().values():
            assert value not in task.log(), f"without {name} it shows a secret"


def with_default() -> set[str]:
    """The settings that have a default for every environment."""
    text = (ROOT / "config.default.toml").read_text()
    return {name.upper() for name in re.findall(r"^([a-z_]+) *=", text, re.MULTILINE)}


def test_no_secret_is_where_it_does_not_belong(region: Region) -> None:
    secrets = {*region.account.secrets(), *region.passwords}
    assert len(secrets) == 4, "the two passwords of the database, that of the cache, and the keys"
    places = region.everything_written()
    kinds = {place.split(":")[0] for place in places}
    assert kinds == {"template", "parameters", "stack", "log", "arguments", "image"}
    assert exposed(secrets, places) == []
    for secret in secrets:
        planted = {"log: planted": b'{"url":"' + urllib.parse.quote(secret, safe="").encode() + b'"}'}
        assert exposed(secrets, planted) == ["log: planted"]


def exposed(secrets: set[str], places: dict[str, bytes]) -> list[str]:
    """Where a secret stands: as it is, as in JSON, in a URL, or in base64."""
    forms = set()
    for secret in secrets:
        whole = secret.encode()
        quoted = urllib.parse.quote(secret, safe="").encode()
        forms |= {whole, json.dumps(secret)[1:-1].encode(), quoted, base64.b64encode(whole)}
    return [place for place, text in places.items() if any(form in text for form in forms)]
