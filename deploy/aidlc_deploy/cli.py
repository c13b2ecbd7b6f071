"""The command line, and how it ends.

Exit status: 0 done and well; 1 something failed or is not well; 2 not understood, or something is not
installed; 130 ended by Ctrl-C. `run` and `doctor` end as their task did.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import check, down, logs, rollback, status, task, up
from .aws import Aws, AwsError
from .deployment import Deployment, load
from .failures import BY_AWS, Stopped, recognised
from .patience import Patience
from .preflight.catalogue import Failure
from .templates import ENVIRONMENTS, TemplateError

ROOT = Path(__file__).parents[1]
INTERRUPTED = {
    "en": "Stopped. What AWS has begun goes on by itself; the same command goes on from there.",
    "ko": "중단했습니다. AWS에서 이미 시작된 작업은 계속됩니다. 같은 명령을 다시 실행하면 거기서부터 이어집니다.",
}


def main(words: list[str] | None = None, root: Path = ROOT) -> int:
    """Does what the command line says with the templates under `root`; the exit status."""
    arguments = parser().parse_args(words)
    try:
        return arguments.do(deployment(arguments, root), arguments)
    except Stopped as stopped:
        return told(stopped.told[arguments.language], stopped.failure, arguments.language)
    except AwsError as error:
        told(str(error), recognised(error.message, BY_AWS), arguments.language)
        return 2 if error.code == "AwsMissing" else 1
    except TemplateError as error:
        told(str(error), None, arguments.language)
        return 2
    except KeyboardInterrupt:
        print(f"\n{INTERRUPTED[arguments.language]}", file=sys.stderr)
        return 130


def deployment(arguments: argparse.Namespace, root: Path) -> Deployment:
    templates, parameters = load(root, arguments.env)
    aws = Aws(arguments.region or parameters.region, arguments.profile, arguments.dry_run)
    made = Deployment(
        environment=arguments.env,
        root=root,
        aws=aws,
        patience=Patience(arguments.poll, arguments.wait * 60),
        templates=templates,
        parameters=parameters,
        language=arguments.language,
        assume_yes=arguments.yes,
    )
    if arguments.needs_account:
        show_account(made)
    return made


def show_account(deployment: Deployment) -> None:
    """Says where everything happens; without an account or a way to AWS it ends here, and not in a long wait."""
    account = deployment.aws.find_account()
    if not deployment.is_dry:
        place = f"{deployment.environment} in account {account}, {deployment.aws.region}"
        print(f"aidlc-deploy: {place}", file=sys.stderr)
    elif account:
        deployment.say(f"dry run in account {account}: what reads was called, what would write is below")
    else:
        deployment.say("dry run without an account: nothing was called, and nothing is taken to exist")


def told(message: str, failure: Failure | None, language: str) -> int:
    print(f"aidlc-deploy: {message}", file=sys.stderr)
    if failure:
        print(f"  {failure.code}: {failure.what[language]}\n  → {failure.remedy[language]}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="aidlc-deploy",
        description="Deploys aidlc-auth on AWS and looks after it there. See deploy/README.md.",
        epilog=__doc__.split("\n\n")[1],
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str, do: Callable[[Deployment, argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(do=do, needs_account=True)
        add_common(made)
        return made

    it = command("preflight", "say what would fail, before anything is changed", preflight)
    it.add_argument("--json", action="store_true", help="findings as JSON")
    it.add_argument("--templates-only", action="store_true", help="ask no account")
    # That there is none is one of its findings.
    it.set_defaults(needs_account=False)

    it = command("up", "bring everything up, or on: safe to run again", lambda d, a: up.run(d, a.image_tag, a.start))
    it.add_argument("--image-tag", metavar="TAG", help="default: the last commit that changed more than parameters")
    it.add_argument("--from", dest="start", metavar="STEP", help="skip the steps before this one")

    command("check", "make the three calls of the post-deploy check", lambda d, a: check.run(d) or 0)
    command("status", "show stacks, service, tasks, targets and alarms", lambda d, a: status.run(d))

    it = command("logs", "show the service's log", show_logs)
    it.add_argument("--since", default="10m", metavar="SPAN", help="90s, 10m, 2h, 1d (default: 10m)")
    it.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    it.add_argument("--pattern", help="only lines with these words")
    it.add_argument(
        "--patterns", dest="needs_account", action="store_false", help="list the words worth searching for"
    )

    it = command("doctor", "look for what is wrong from inside the VPC", lambda d, a: task.doctor(d, a.json))
    it.add_argument("--json", action="store_true", help="findings as JSON")

    it = command("run", "run one of the binary's sub-commands as a task: run --env E -- users show a@b", operate)
    it.add_argument("command", nargs="+", metavar="WORD")

    it = command("rollback", "get out of a deployment that failed", lambda d, a: rollback.run(d, a.to, a.skip))
    it.add_argument("--to", metavar="REVISION", help="default: the revision that ran before")
    it.add_argument("--skip", nargs="+", default=[], metavar="RESOURCE", help="resources that a stuck rollback leaves out")

    it = command("down", "delete everything", lambda d, a: down.run(d, a.images))
    it.add_argument("--images", action="store_true", help="the registry's images too")
    return whole


def add_common(command: argparse.ArgumentParser) -> None:
    language = "ko" if os.environ.get("LANG", "").startswith("ko") else "en"
    command.add_argument("--env", required=True, choices=ENVIRONMENTS)
    command.add_argument("--region", help="default: the parameter file's")
    command.add_argument("--profile", help="of the aws command")
    command.add_argument("--dry-run", action="store_true", help="print every call that would change something")
    command.add_argument("--language", choices=("en", "ko"), default=language, help="of causes and remedies")
    command.add_argument("--yes", action="store_true", help="ask nothing")
    command.add_argument("--wait", type=float, default=60, metavar="MINUTES", help="bounds every wait (default: 60)")
    command.add_argument("--poll", type=float, default=5, metavar="SECONDS", help="between two looks (default: 5)")


def preflight(deployment: Deployment, arguments: argparse.Namespace) -> int:
    from .preflight import run

    return run(
        deployment.environment,
        deployment.aws,
        deployment.parameters,
        json=arguments.json,
        language=arguments.language,
        templates_only=arguments.templates_only,
        templates=deployment.templates,
    )


def show_logs(deployment: Deployment, arguments: argparse.Namespace) -> int:
    if not arguments.needs_account:
        return logs.show_patterns(arguments.language)
    return logs.show(deployment, arguments.since, arguments.pattern, arguments.follow)


def operate(deployment: Deployment, arguments: argparse.Namespace) -> int:
    return task.operate(deployment, arguments.command)
