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

SIMULATED = "📧 이메일 발송 시뮬레이션"
# The log arrives in CloudWatch some seconds after it was written.
LOG_DELAY_SECS = 120
CALL_SECS_MAX = 20


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
            raise Stopped(f"{self.call} was answered {self.status} {said}, not {wanted}. See `logs`.")


def run(deployment: Deployment) -> None:
    """Signs up, verifies and signs in, as a caller from outside."""
    if not shutil.which("curl"):
        raise Stopped("the post-deploy check needs curl: install it, then run `check`")
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
    registered = post(url, balancer, "register", form)
    registered.must_be(202, "challenge_id")
    deployment.say("check: register is answered 202")

    form = {"email": email, "challenge_id": registered.body["challenge_id"]}
    if simulated:
        code = code_from_log(deployment, email, began)
        post(url, balancer, "verify-registration", {**form, "verification_code": code}).must_be(201, "session_token")
        deployment.say("check: verify-registration is answered 201 for the code in the log")
    else:
        refused = post(url, balancer, "verify-registration", {**form, "verification_code": "000000"})
        refused.must_be(400, "code")
        if refused.body["code"] != "code_wrong":
            raise Stopped(f"{refused.call} refused a wrong code as {refused.body['code']}, not as code_wrong")
        deployment.say("check: verify-registration refuses a wrong code")

    post(url, balancer, "login", {"email": email}).must_be(202, "challenge_id")
    deployment.say("check: login is answered 202")


def post(url: str, balancer: str, path: str, form: dict[str, str]) -> Answer:
    """Makes one call with curl. The body goes through a pipe: a command line can be read by others."""
    place = f"{url.rstrip('/')}/api/auth/{path}"
    host = urlsplit(place)
    port = host.port or (443 if host.scheme == "https" else 80)
    command = ["curl", "--silent", "--show-error", "--max-time", str(CALL_SECS_MAX), "--request", "POST", place]
    # Straight to this load balancer, under the public name: that name may not point to it yet.
    command += ["--connect-to", f"{host.hostname}:{port}:{balancer}:{port}"]
    command += ["--header", "Content-Type: application/json", "--data", "@-", "--write-out", "\n%{http_code}"]
    done = subprocess.run(
        command, input=json.dumps(form), capture_output=True, text=True, encoding="utf-8", timeout=2 * CALL_SECS_MAX
    )
    if done.returncode:
        raise Stopped(f"POST {place}: {done.stderr.strip()}", said=[done.stderr])
    text, _, status = done.stdout.rpartition("\n")
    try:
        body = json.loads(text)
    except ValueError:
        raise Stopped(f"POST {place} was answered {status}, and not in JSON: it is not the service that answers") from None
    return Answer(f"POST {place}", int(status), body)


def code_from_log(deployment: Deployment, email: str, began: int) -> str:
    """The code that the simulated mail to this address holds."""

    def look() -> str | None:
        for event in logs.search(deployment, began, SIMULATED, email):
            return json.loads(event["message"])["code"]
        return None

    return deployment.patience.at_most(LOG_DELAY_SECS).until(f"the line {SIMULATED} in {deployment.log_group}", look)
