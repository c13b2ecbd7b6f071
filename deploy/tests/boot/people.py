"""Whoever uses the service: one person's way through it, and many at once.

Each has an address out there, from which its requests come.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

CODE = "📧 이메일 발송 시뮬레이션"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: dict


@dataclass
class Person:
    """Someone with an e-mail address, who reads mail in the log of whoever simulated it."""

    name: str
    address: str
    service: str
    logs: Callable[[], str]
    token: str = ""
    mails_read: int = 0

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"

    def call(self, method: str, path: str, body: dict | None = None, more_headers: dict[str, str] = {}) -> Answer:
        """One request over a connection of its own, so that whatever breaks was this request's."""
        connection = http.client.HTTPConnection(self.service, 80, timeout=60, source_address=(self.address, 0))
        headers = dict(more_headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        is_json = "json" in response.headers.get("Content-Type", "")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, json.loads(text) if is_json and text else {})

    def register(self) -> Answer:
        body = {"email": self.email, "password": "correct horse battery", "full_name": self.name.title()}
        return self.call("POST", "/api/auth/register", body)

    def sign_up(self) -> None:
        """Registers, and proves the address with the code that was mailed."""
        expect(self.register(), 202)
        self._verify("/api/auth/verify-registration", 201)

    def sign_in(self) -> None:
        self.token = ""
        expect(self.call("POST", "/api/auth/login", {"email": self.email}), 202)
        self._verify("/api/auth/verify-login", 200)

    def refresh(self) -> None:
        self.token = expect(self.call("POST", "/api/auth/refresh-session"), 200).body["session_token"]

    def session(self) -> Answer:
        return self.call("GET", "/api/auth/session")

    def log_out(self) -> None:
        expect(self.call("POST", "/api/auth/logout"), 204)

    def code(self) -> str:
        """The code of the next mail to this address; the service sends it after its answer."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            mails = [json.loads(line) for line in self.logs().splitlines() if CODE in line and self.email in line]
            if len(mails) > self.mails_read:
                self.mails_read = len(mails)
                return str(max(mails, key=lambda mail: mail["timestamp"])["code"])
            time.sleep(0.1)
        raise AssertionError(f"no mail to {self.email} in the log:\n{self.logs()[-3000:]}")

    def _verify(self, path: str, status: int) -> None:
        answer = self.call("POST", path, {"email": self.email, "verification_code": self.code()})
        self.token = expect(answer, status).body["session_token"]


class Crowd:
    """People who are signed in and use the service without a pause, until told to stop."""

    def __init__(self, people: list[Person]) -> None:
        self.people, self.statuses, self.broken = people, Counter(), []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self._use, args=[person], daemon=True) for person in people]

    def __enter__(self) -> Crowd:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join(70)

    def _use(self, person: Person) -> None:
        turn = 0
        while not self.is_over.wait(0.05):
            turn += 1
            try:
                if turn % 20:
                    self.statuses[person.session().status] += 1
                else:
                    person.refresh()
                    self.statuses[200] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.broken.append(f"{person.name}: {error!r}")


def all_at_once(calls: list[Callable[[], Answer]]) -> list[Answer | Exception]:
    """What each call gave; they start together."""
    outcomes: list[Answer | Exception] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def make(at: int) -> None:
        start.wait()
        try:
            outcomes[at] = calls[at]()
        except (OSError, http.client.HTTPException) as error:
            outcomes[at] = error

    threads = [threading.Thread(target=make, args=[at], daemon=True) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def expect(answer: Answer, status: int) -> Answer:
    assert answer.status == status, f"{answer.status}, not {status}: {answer.body}"
    return answer
