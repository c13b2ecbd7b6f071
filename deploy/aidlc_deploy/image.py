"""The image: named after the commit, built by deploy/image/build, pushed once."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from .aws import AwsError
from .deployment import Deployment
from .failures import Stopped

# How each builder logs in and pushes. buildah's storage is the one that deploy/image/build writes to.
BUILDERS = {
    "buildah": ["buildah", "--storage-driver", "vfs"],
    "docker": ["docker"],
    "podman": ["podman"],
}
SECS_MAX = 3600


def tag_of(root: Path) -> str:
    """The short hash of the last commit that changed more than parameters: no image holds any of those.

    A tree that differs from its commit has no tag: what would it name?
    """
    whatever_an_image_holds = ["--", ".", ":(exclude)deploy/params"]
    if git(root, "status", "--porcelain", *whatever_an_image_holds):
        raise Stopped(
            "the tree differs from its commit: commit first, or name a tag with --image-tag",
            "작업 트리가 커밋과 다릅니다. 먼저 커밋하거나 --image-tag로 태그를 정하십시오.",
        )
    return git(root, "log", "-1", "--format=%h", "--abbrev=12", *whatever_an_image_holds)


def publish(deployment: Deployment, tag: str) -> None:
    """Builds and pushes the image, unless the registry has the tag: tags there never change."""
    if is_published(deployment, tag):
        deployment.say(f"image {tag}: is in the registry")
        return
    builder = builder_here()
    repository = deployment.stack("registry").output("RepositoryUri")
    name = f"{repository}:{tag}"
    program = [str(deployment.root / "image" / "build"), "--builder", builder, "--tag", name]
    program += ["--arch", deployment.parameters.values["CpuArchitecture"].lower()]
    deployment.say(f"image {tag}: is built")
    build(deployment, program)
    deployment.say(f"image {tag}: is pushed")
    log_in(deployment, builder, registry=repository.split("/", 1)[0])
    made(deployment, [*BUILDERS[builder], "push", name])


def build(deployment: Deployment, program: list[str]) -> None:
    """Runs deploy/image/build, whose compiler shows its own progress."""
    if deployment.is_dry:
        print(shlex.join(program), flush=True)
    elif subprocess.run(program, stdin=subprocess.DEVNULL).returncode:
        raise Stopped(
            "the image was not built; what went wrong stands above",
            "이미지를 빌드하지 못했습니다. 원인은 위에 나와 있습니다.",
        )


def is_published(deployment: Deployment, tag: str) -> bool:
    arguments = ["--repository-name", deployment.repository, "--image-ids", f"imageTag={tag}"]
    try:
        return bool(deployment.aws.call("ecr", "describe-images", *arguments).get("imageDetails"))
    except AwsError as error:
        # A dry run may come before the registry.
        if error.code == "ImageNotFoundException" or (deployment.is_dry and error.code == "RepositoryNotFoundException"):
            return False
        raise


def builder_here() -> str:
    """The first builder that is installed."""
    for builder in BUILDERS:
        if shutil.which(builder):
            return builder
    raise Stopped(
        "no image builder is installed: install buildah, docker or podman",
        "이미지 빌드 도구가 없습니다. buildah, docker, podman 중 하나를 설치하십시오.",
    )


def log_in(deployment: Deployment, builder: str, registry: str) -> None:
    """Logs in at the registry, with a password that lives for 12 hours and goes through a pipe alone."""
    command = [*BUILDERS[builder], "login", "--username", "AWS", "--password-stdin", registry]
    if deployment.is_dry:
        ask = deployment.aws.command("ecr", "get-login-password")
        print(f"{shlex.join(ask)} | {shlex.join(command)}", flush=True)
        return
    made(deployment, command, fed=deployment.aws.text("ecr", "get-login-password"))


def made(deployment: Deployment, command: list[str], fed: str | None = None) -> None:
    """Runs a builder's command; a dry run prints it."""
    if deployment.is_dry:
        print(shlex.join(command), flush=True)
        return
    given = {"stdin": subprocess.DEVNULL} if fed is None else {"input": fed}
    try:
        done = subprocess.run(command, text=True, stderr=subprocess.PIPE, timeout=SECS_MAX, **given)
    except subprocess.TimeoutExpired:
        raise Stopped(
            f"{command[0]} was not done within {SECS_MAX // 60} minutes",
            f"{command[0]}: {SECS_MAX // 60}분 안에 끝나지 않았습니다.",
        ) from None
    if done.returncode:
        raise Stopped(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr}", said=[done.stderr])


def git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise Stopped(
            "git is not installed: install it, or name a tag with --image-tag",
            "git이 설치되어 있지 않습니다. 설치하거나 --image-tag로 태그를 정하십시오.",
        ) from None
    if done.returncode:
        said = f"git {arguments[0]}: {done.stderr.strip()}"
        raise Stopped(f"{said}: name a tag with --image-tag", f"{said}. --image-tag로 태그를 정하십시오.")
    return done.stdout.strip()
