"""2, 32: the image that tasks are to run is there, and tags keep their images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from ..finding import Finding, failed, warning
from .reading import Account

# How far back a refused push is of interest.
PUSHES_SECS = 24 * 3600


def image(account: Account) -> Iterator[Finding]:
    """2, before a task says it: the image that the task definition names is in the registry."""
    for container in (account.task_definition or {}).get("containerDefinitions") or []:
        repository, _, tag = container["image"].rpartition(":")
        call = ("ecr", "describe-images", "--repository-name", account.repository, "--image-ids", f"imageTag={tag}")
        if repository.endswith(f"/{account.repository}") and account.is_absent(*call):
            yield failed("image_pull", f"{container['image']} is not in the registry")


def tags(account: Account) -> Iterator[Finding]:
    """32: tags never change their image, and no push was refused for that."""
    if "registry" not in account.stacks:
        return
    arguments = ("--repository-names", account.repository)
    for found in account.listed("repositories", "ecr", "describe-repositories", *arguments):
        if found.get("imageTagMutability") == "MUTABLE":
            yield warning(
                "image_tag_taken",
                f"{account.repository}: its tags can be moved, so a roll-back may start another image than before",
            )
    for refusal in refused_pushes(account):
        yield failed("image_tag_taken", refusal)


def refused_pushes(account: Account) -> Iterator[str]:
    """Of the last day, as CloudTrail has them."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - PUSHES_SECS))
    wanted = ("--lookup-attributes", "AttributeKey=EventName,AttributeValue=PutImage")
    for event in account.listed(
        "Events", "cloudtrail", "lookup-events", *wanted, "--start-time", since, "--max-items", "50"
    ):
        told = json.loads(event["CloudTrailEvent"])
        asked = told.get("requestParameters") or {}
        if (
            told.get("errorCode") == "ImageTagAlreadyExistsException"
            and asked.get("repositoryName") == account.repository
        ):
            yield told["errorMessage"]
