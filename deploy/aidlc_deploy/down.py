"""`down`: everything away again, in the reverse order, and what stays is said."""

from __future__ import annotations

import json
from dataclasses import replace

from . import protection
from .aws import AwsError
from .deployment import Deployment
from .failures import Stopped
from .stacks import Stack


def run(deployment: Deployment, with_images: bool) -> int:
    """Deletes every stack of the environment, the last first."""
    for line in kept(deployment):
        deployment.say(line)
    confirm(deployment)
    refuse_if_protected(deployment)
    for stack in reversed(deployment.stacks()):
        if stack.name == deployment.stack("registry").name and not is_empty(deployment, with_images):
            deployment.say(f"{stack.name}: stays, for its images; --images deletes them too")
        else:
            remove(deployment, stack)
    deployment.say("nothing was changed" if deployment.is_dry else f"{deployment.environment} is down")
    return 0


def kept(deployment: Deployment) -> list[str]:
    """What the templates keep when their stacks are gone."""
    lines = []
    for template in deployment.templates:
        for name, resource in template.resources.items():
            policy = resource.get("DeletionPolicy")
            if policy == "Retain":
                lines.append(f"{template.name}: {name} ({resource['Type']}) stays")
            elif policy == "Snapshot":
                lines.append(f"{template.name}: of {name} ({resource['Type']}) a last snapshot stays")
    # No template knows them, so no stack deletes them.
    made_by_aws = [f"/aws/rds/instance/{deployment.database}/…"]
    made_by_aws.append(f"/aws/ecs/containerinsights/{deployment.cluster}/performance")
    return [*lines, f"log groups that AWS made by itself stay, where there are any: {', '.join(made_by_aws)}"]


def confirm(deployment: Deployment) -> None:
    english = f"Everything of {deployment.environment} is deleted, its database with it."
    korean = f"{deployment.environment} 환경의 모든 것을 데이터베이스까지 삭제합니다."
    # What is in production is worth a word typed by hand: no flag stands for it.
    if deployment.environment == "production" and not deployment.is_dry:
        deployment = replace(deployment, assume_yes=False)
    deployment.confirm(english, korean)


def refuse_if_protected(deployment: Deployment) -> None:
    """Stops before anything is deleted if something would not let itself be: half a stack helps nobody."""
    parameters = []
    if protection.protected_balancer(deployment):
        parameters.append("AlbDeletionProtection")
    if protection.is_database_protected(deployment):
        parameters.append("DatabaseDeletionProtection")
    if parameters:
        file = f"deploy/params/{deployment.environment}.json"
        raise Stopped(
            f"protected from deletion. To lift that: set {' and '.join(parameters)} to \"false\" in {file}, "
            "run `up`, then `down`. Nothing was deleted.",
            f'삭제 방지가 켜져 있습니다. 해제하려면 {file} 파일에서 다음 값을 "false"로 바꾸십시오: '
            f"{', '.join(parameters)}. 그다음 `up`, 이어서 `down`을 실행하십시오. 아무것도 삭제하지 않았습니다.",
        )


def remove(deployment: Deployment, stack: Stack) -> None:
    found = stack.settled()
    if not found:
        return deployment.say(f"{stack.name}: is not there")
    deployment.say(f"{stack.name}: is deleted")
    stack.delete()


def is_empty(deployment: Deployment, with_images: bool) -> bool:
    """Whether the registry holds no image any more; with --images they are deleted."""
    images = list_images(deployment)
    while images and with_images:
        refused = delete_images(deployment, images)
        if deployment.is_dry:
            return True
        # An image that an index refers to is refused until that index is gone.
        before, images = images, list_images(deployment)
        if images and len(images) >= len(before):
            said = "; ".join(refused) or "ECR gives no reason"
            raise Stopped(
                f"{deployment.repository}: images that cannot be deleted are left: {said}",
                f"{deployment.repository}: 삭제할 수 없는 이미지가 남아 있습니다: {said}",
                said=refused,
            )
    return not images


def delete_images(deployment: Deployment, images: list[dict]) -> list[str]:
    """Deletes images, and answers why some are left."""
    refused = []
    # ECR takes up to a hundred at a time.
    for at in range(0, len(images), 100):
        arguments = ["--repository-name", deployment.repository, "--image-ids", json.dumps(images[at : at + 100])]
        answer = deployment.aws.call("ecr", "batch-delete-image", *arguments)
        refused += [failure.get("failureReason", "") for failure in answer.get("failures", [])]
    return refused


def list_images(deployment: Deployment) -> list[dict]:
    try:
        answer = deployment.aws.call("ecr", "list-images", "--repository-name", deployment.repository)
    except AwsError as error:
        if error.code == "RepositoryNotFoundException":
            return []
        raise
    return answer.get("imageIds", [])
