"""The check after a deployment: the three calls that operators make by hand, made with curl and checked.

Where mail is simulated the code is read from the log and the sign-up is finished. Where mail really goes out,
nobody reads it, so a wrong code has to be refused instead; and the mail goes to the mailbox simulator of SES,
which takes it without a bounce: a bounce would count against the account.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import logs
from .deployment import Deployment
from .failures import Stopped
from .patience import Patience

SIMULATED = "📧 이메일 발송 시뮬레이션"
# The log arrives in CloudWatch some seconds after it was written.
LOG_DELAY_SECS = 120
# The name of a new load balancer is known everywhere after a minute or so.
NAME_DELAY_SECS = 180
CALL_SECS_MAX = 20
# What curl ends with where the name is not known yet, or nobody takes connections.
NOT_CONNECTED = (6, 7)


@dataclass(frozen=True)
class Answer:
    """What a call was answered."""

    call: str
    status: int
    body: dict

    def must_be(self, status: int, *names: str) -> None:
        """Stops unless the status is this one and the body holds each of these, not empty."""
        missing = [name for name in names if not self.body.get(name)]
        if self.status != status or missing:
            # Never the body: it may hold a session's token.
            said = self.body.get("code") or self.body.get("status") or ""
            wanted = f"{status} with {', '.join(names)}" if names else str(status)
            raise Stopped(
                f"{self.call} was answered {self.status} {said}, not {wanted}. See `logs`.",
                f"{self.call}: 응답이 {self.status} {said}입니다. 기대한 응답: {wanted}. `logs`를 확인하십시오.",
            )


def run(deployment: Deployment) -> None:
    """Signs up, verifies and signs in, as a caller from outside."""
    must_have_curl()
    simulated = deployment.parameters.values["MailTransport"] == "simulation"
    service = deployment.stack("service")
    url, balancer = service.output("PublicUrl"), service.output("LoadBalancerDnsName")
    if deployment.is_dry:
        return deployment.say(f"check: would sign up, verify and sign in at {url} with curl")

    began = int(time.time() * 1000) - 60_000  # clocks differ a little
    name = f"aidlc-deploy-{secrets.token_hex(6)}"
    email = f"{name}@example.com" if simulated else f"success+{name}@simulator.amazonses.com"

    deployment.say(f"check: {url}")
    form = {"email": email, "password": secrets.token_urlsafe(18), "full_name": "Deploy Check"}
    front = Front(url, balancer, deployment.patience.at_most(NAME_DELAY_SECS))
    registered = front.post("register", form)
    registered.must_be(202, "challenge_id")
    deployment.say("check: register is answered 202")

    form = {"email": email, "challenge_id": registered.body["challenge_id"]}
    if simulated:
        code = code_from_log(deployment, email, began)
        front.post("verify-registration", {**form, "verification_code": code}).must_be(201, "session_token")
        deployment.say("check: verify-registration is answered 201 for the code in the log")
    else:
        refused = front.post("verify-registration", {**form, "verification_code": "000000"})
        refused.must_be(400, "code")
        if refused.body["code"] != "code_wrong":
            said = refused.body["code"]
            raise Stopped(
                f"{refused.call} refused a wrong code as {said}, not as code_wrong",
                f"{refused.call}: 틀린 코드를 거절한 이유가 code_wrong이 아니라 다른 값입니다: {said}",
            )
        deployment.say("check: verify-registration refuses a wrong code")

    front.post("login", {"email": email}).must_be(202, "challenge_id")
    deployment.say("check: login is answered 202")


def must_have_curl() -> None:
    if not shutil.which("curl"):
        raise Stopped(
            "the post-deploy check needs curl: install it, then run `check`",
            "배포 후 점검에는 curl이 필요합니다. 설치한 뒤 `check`를 실행하십시오.",
        )


@dataclass(frozen=True)
class Front:
    """The service as callers reach it: under its public URL, at this load balancer."""

    url: str
    balancer: str
    patience: Patience

    def post(self, path: str, form: dict[str, str]) -> Answer:
        """Makes one call with curl, once there is somebody to take it."""
        place = f"{self.url.rstrip('/')}/api/auth/{path}"
        return self.patience.until(f"a connection to {self.balancer}", lambda: self.answer(place, form))

    def answer(self, place: str, form: dict[str, str]) -> Answer | None:
        """The answer, None if there was no connection. The form goes through a pipe: others can read a command line."""
        host = urlsplit(place)
        port = host.port or (443 if host.scheme == "https" else 80)
        command = ["curl", "--silent", "--show-error", "--max-time", str(CALL_SECS_MAX), "--request", "POST", place]
        # Straight to this load balancer, under the public name: that name may not point to it yet.
        command += ["--connect-to", f"{host.hostname}:{port}:{self.balancer}:{port}"]
        command += ["--header", "Content-Type: application/json", "--data", "@-", "--write-out", "\n%{http_code}"]
        done = subprocess.run(
            command, input=json.dumps(form), capture_output=True, text=True, encoding="utf-8", timeout=2 * CALL_SECS_MAX
        )
        if done.returncode in NOT_CONNECTED:
            return None
        if done.returncode:
            raise Stopped(f"POST {place}: {done.stderr.strip()}", said=[done.stderr])
        text, _, status = done.stdout.rpartition("\n")
        try:
            body = json.loads(text)
        except ValueError:
            raise Stopped(
                f"POST {place} was answered {status}, and not in JSON: is that the service?",
                f"POST {place}: 응답({status})이 JSON이 아닙니다. 이 서비스가 응답한 것이 맞는지 확인하십시오.",
            ) from None
        return Answer(f"POST {place}", int(status), body)


def code_from_log(deployment: Deployment, email: str, began: int) -> str:
    """The code that the simulated mail to this address holds."""

    def look() -> str | None:
        for event in logs.search(deployment, began, SIMULATED, email):
            return json.loads(event["message"])["code"]
        return None

    return deployment.patience.at_most(LOG_DELAY_SECS).until(f"the line {SIMULATED} in {deployment.log_group}", look)
