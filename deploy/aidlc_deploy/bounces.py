"""Bounces and complaints of mail, which SNS reports to the service, once it is subscribed.

SNS refuses to subscribe an address that it cannot reach, and at the first `up` the public name may not lead to
the load balancer yet.
"""

from __future__ import annotations

import subprocess

from . import check
from .deployment import Deployment
from .failures import Stopped
from .stacks import parameters_of
from .templates import Template

# SNS asks the service to confirm within a second or so; its answer is seen a little later.
CONFIRMATION_SECS = 30
CALL_SECS_MAX = 20
UNREPORTED = (
    "bounces are not reported yet: run `up --from monitoring` once PUBLIC_URL's name points to the load balancer"
)


def subscription(deployment: Deployment, template: Template) -> str:
    """Whether the service is to be subscribed: "true" or "false"."""
    stack = deployment.stack_of(template)
    found = stack.settled()
    # Of a stack that never was complete, the subscription may be what failed.
    is_there = found is not None and not stack.never_was_complete(found)
    if is_there and parameters_of(found).get("MailSubscription") == "true":
        return "true"
    if deployment.parameters.values.get("MailTransport") != "ses":
        return "false"
    if deployment.is_dry:
        return "<MailSubscription>"
    check.must_have_curl()
    if is_reachable(deployment.parameters.values.get("PublicUrl", "")):
        return "true"
    deployment.say(UNREPORTED)
    return "false"


def is_reachable(url: str) -> bool:
    """Whether the service is found under its public name, as SNS would look for it."""
    if not url.startswith("https://"):
        return False
    command = ["curl", "--silent", "--max-time", str(CALL_SECS_MAX), "--output", "/dev/null"]
    command += ["--write-out", "%{http_code}", f"{url}/health/live"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=2 * CALL_SECS_MAX)
    return done.returncode == 0 and done.stdout == "200"


def wait_until_confirmed(deployment: Deployment) -> None:
    """Gives the service a moment to confirm its subscription, and says if it has not."""
    if deployment.is_dry:
        return
    try:
        patience = deployment.patience.at_most(CONFIRMATION_SECS)
        patience.until("its subscription", lambda: None if pending(deployment) else True)
    except Stopped:
        for line in pending(deployment):
            deployment.say(line)


def pending(deployment: Deployment) -> list[str]:
    """What is to say of each subscription to bounces that is not confirmed yet."""
    topic = deployment.stack("service").outputs().get("MailTopicArn")
    if not topic:
        return []
    answer = deployment.aws.call("sns", "list-subscriptions-by-topic", "--topic-arn", topic)
    return [
        f"{item['Endpoint']}: PendingConfirmation: bounces are not reported until the service has confirmed it"
        for item in answer.get("Subscriptions", [])
        if item["SubscriptionArn"] == "PendingConfirmation"
    ]
