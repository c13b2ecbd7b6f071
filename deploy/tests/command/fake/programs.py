"""The programs of the PATH: `aws`, the image's builder, and `curl` against the service that was deployed."""

from __future__ import annotations

import json
import subprocess
from urllib.parse import urlsplit

from .account import CANARY, Account
from .answers import Refused, options

class NotConnected(Refused):
    """curl's own refusals have statuses of their own."""


CODE = "482913"


def run(account: Account, command: list[str], fed: str | None) -> subprocess.CompletedProcess:
    """What a program would have done."""
    account.calls.append(command)
    program = command[0].rsplit("/", 1)[-1]
    try:
        return ended(command, PROGRAMS[program](account, command[1:], fed))
    except NotConnected as refused:
        return ended(command, "", 6, refused.message)
    except Refused as refused:
        operation = command[2] if program == "aws" else ""
        return ended(command, "", 254, refused.told(operation) if operation else refused.message)


def ended(command: list[str], out: str, status: int = 0, error: str = "") -> subprocess.CompletedProcess:
    return subprocess.CompletedProcess(command, status, out, error)


def aws(account: Account, arguments: list[str], fed: str | None) -> str:
    return account.aws(arguments)


def build(account: Account, arguments: list[str], fed: str | None) -> str:
    if account.fault("build") is not None:
        raise Refused("", "error: could not compile `aidlc-auth`")
    asked = options(arguments)
    assert asked["builder"] == ["buildah"] and asked["arch"] == ["x86_64"]
    return "sha256:1\n"


def buildah(account: Account, arguments: list[str], fed: str | None) -> str:
    assert arguments[:2] == ["--storage-driver", "vfs"], "deploy/image/build writes to this storage"
    if arguments[2] == "login":
        assert fed.strip() == f"{CANARY}-registry", "the password comes through the pipe"
        return ""
    tag = arguments[3].rsplit(":", 1)[1]
    if account.fault("push") is not None or tag in account.images:
        # ECR's words for a tag of an immutable repository.
        raise Refused("", f"tag invalid: The image tag '{tag}' already exists in the 'x' repository and cannot be overwritten because the repository is immutable.")
    account.images.append(tag)
    return ""


def curl(account: Account, arguments: list[str], fed: str | None) -> str:
    """The service behind the load balancer, as far as the three calls go."""
    asked = options(arguments)
    if "write-out" in asked and "request" not in asked:
        return live(account, asked)
    assert asked["data"] == ["@-"], "the body comes through the pipe"
    if not account.ecs.service or account.fault("connection") is not None:
        raise NotConnected("", "curl: (6) Could not resolve host")
    path = urlsplit(asked["request"][1]).path.rsplit("/", 1)[-1]
    form = json.loads(fed)
    fault = account.fault(path)
    status, body = (fault["status"], fault["body"]) if fault else answer(account, path, form)
    return f"{json.dumps(body)}\n{status}"


def live(account: Account, asked: dict) -> str:
    """The service under its public name, wherever that name leads by now."""
    assert asked["write-out"] == ["%{http_code}", "https://auth.example.com/health/live"], asked
    assert "connect-to" not in asked, "SNS goes by the name"
    if account.fault("name") is not None:
        raise NotConnected("", "")
    return "200"


def answer(account: Account, path: str, form: dict[str, str]) -> tuple[int, dict]:
    if path == "register":
        account.mails[form["email"]] = CODE
        line = {"message": "📧 이메일 발송 시뮬레이션", "to": form["email"], "code": CODE}
        if account.mail_is_simulated:
            event = {"message": json.dumps(line, ensure_ascii=False), "timestamp": 1_700_000_000_000}
            account.log.append({**event, "eventId": str(len(account.log)), "logStreamName": "ecs/aidlc-auth/0123456789abcdef"})
        return 202, {"challenge_id": "c1"}
    if path == "verify-registration":
        if account.mails.get(form["email"]) != form["verification_code"]:
            return 400, {"code": "code_wrong"}
        account.accounts.append(form["email"])
        return 201, {"session_token": f"{CANARY}-session"}
    if path == "login":
        return 202, {"challenge_id": "c2"}
    return 404, {"code": "not_found"}


PROGRAMS = {"aws": aws, "build": build, "buildah": buildah, "curl": curl}
