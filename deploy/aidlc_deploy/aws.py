"""One way to AWS: the stock `aws` command line, versions 1 and 2 alike.

Every call has a time-out and answers JSON. In a dry run nothing is written: writing calls are printed
instead, ready to be copied, and reading calls are made only if there is an account to read.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TextIO

# Whatever is not known to read is taken to write: a dry run must err on that side.
READING = ("batch-get-", "describe-", "filter-", "get-", "list-", "lookup-", "simulate-", "validate-")

# What may go away by itself, so that a wait goes on. Names of codes: AWS's "Common Errors", and ours below.
TRANSIENT = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "NoConnection",
        "RequestLimitExceeded",
        "ServerException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TimedOut",
        "TooManyRequestsException",
    }
)


class AwsError(Exception):
    """A call that did not succeed.

    `code` is AWS's own (`ValidationError`), or one of ours where the call never got that far:
    `AwsMissing`, `NoCredentials`, `NoConnection`, `TimedOut`, `CommandFailed`.
    """

    def __init__(self, code: str, message: str, call: str) -> None:
        super().__init__(f"{message} ({code})\n  in: {call}")
        self.code = code
        self.message = message
        self.call = call

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return self.code in TRANSIENT


@dataclass
class Aws:
    """An account and region, reached by the `aws` command."""

    region: str
    profile: str | None = None
    dry_run: bool = False
    timeout_secs: float = 120
    out: TextIO = field(default_factory=lambda: sys.stdout)
    # In a dry run without an account, reading calls are not made: they answer {}, as if nothing existed.
    reads: bool = True

    def call(self, service: str, operation: str, *args: str) -> dict:
        """Makes one call and answers its JSON, {} where there is none."""
        text = self.text(service, operation, *args)
        return json.loads(text) if text.strip() else {}

    def text(self, service: str, operation: str, *args: str) -> str:
        """Makes one call and answers what it printed; for the few that print no JSON."""
        command = self.command(service, operation, *args)
        if self.dry_run and not is_reading(operation):
            print(shlex.join(command), file=self.out, flush=True)
            return ""
        if self.dry_run and not self.reads:
            return ""
        return run(command, self.timeout_secs)

    def command(self, service: str, operation: str, *args: str) -> list[str]:
        """The whole command line of a call."""
        command = ["aws", service, operation, *args, "--output", "json", "--region", self.region]
        return command + (["--profile", self.profile] if self.profile else [])

    def find_account(self) -> str | None:
        """The account's number, or None in a dry run that has none; from then on nothing is read either."""
        try:
            return self.call("sts", "get-caller-identity").get("Account")
        except AwsError:
            if not self.dry_run:
                raise
            self.reads = False
            return None


def is_reading(operation: str) -> bool:
    """Whether an operation changes nothing, by its name."""
    return operation.startswith(READING)


def run(command: list[str], timeout_secs: float) -> str:
    shown = shlex.join(command)
    # Version 2 would page, and ask at a terminal; both would read templates as the machine's locale has it.
    ours = {"AWS_PAGER": "", "AWS_CLI_AUTO_PROMPT": "off", "AWS_CLI_FILE_ENCODING": "UTF-8", "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_secs,
            env={**os.environ, **ours},
        )
    except FileNotFoundError:
        remedy = "the aws command is not installed: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
        raise AwsError("AwsMissing", remedy, shown) from None
    except subprocess.TimeoutExpired:
        raise AwsError("TimedOut", f"no answer within {timeout_secs:g} s", shown) from None
    if done.returncode == 0:
        return done.stdout
    raise AwsError(*understand(done.stderr), shown)


def understand(stderr: str) -> tuple[str, str]:
    """Code and message of what the command said on its standard error."""
    said = " ".join(stderr.split())
    answered = re.search(r"An error occurred \(([\w.]+)\) when calling the \w+ operation(?: \([^)]*\))?: (.*)", said)
    if answered:
        return answered[1], answered[2]
    if re.search("credentials|config profile|Token has expired|SSO", said, re.IGNORECASE):
        return "NoCredentials", f"{said}: name an account (aws configure, aws sso login, or --profile)"
    if re.search("Could not connect to the endpoint|Connection was closed|Read timeout|Connect timeout", said):
        return "NoConnection", said
    return "CommandFailed", said or "the aws command failed and said nothing"
