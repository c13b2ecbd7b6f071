"""`aidlc-deploy preflight`: what would fail, or has failed, told from the templates and the account.

The rules about the templates are one module per topic, each rule a function from the `Plan` to findings;
`account/` holds those that ask AWS. What the task itself would say is `aidlc-auth doctor`'s to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..aws import Aws
from ..templates import Parameters, Template, load_templates
from . import account, agreement, capacity, logs, network, secrets, traffic
from .catalogue import Failure, load_catalogue
from .finding import FAILED, OK, WARNING, Finding, told_as_json, told_as_text
from .image import architecture
from .plan import Plan

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "deploy" / "cloudformation"
# Where deploy/image/build leaves what the image is made of.
IMAGE = ROOT / "target" / "image" / "rootfs"

# Of the account's failures those that `up` neither mends nor waits for. The others are its daily bread: a task
# that could not start before must not keep the release away that mends it.
IN_THE_WAY_OF_UP = {"no_account", "stack_update_rollback_failed", "mail_rejected", "certificate"}

RULES = [
    network.starting,
    architecture,
    secrets.keys,
    secrets.access,
    traffic.circuit_breaker,
    traffic.listener,
    traffic.health_checks,
    traffic.reachable,
    network.cycles,
    agreement.breaches,
    secrets.passwords_in_urls,
    capacity.connections,
    capacity.memory,
    network.command_execution,
    capacity.desired_count,
    logs.logs,
    network.way_to_mail,
    traffic.smooth,
]


def run(
    environment: str,
    aws: Aws,
    parameters: Parameters,
    *,
    json: bool = False,
    language: str = "en",
    templates_only: bool = False,
    before_up: bool = False,
    templates: Sequence[Template] | None = None,
    image: Path = IMAGE,
) -> int:
    """Looks, prints what it found, and answers the exit status: 1 if something failed.

    Before `up`, what `up` itself sees to is a warning.
    """
    catalogue = load_catalogue()
    plan = Plan(templates or load_templates(TEMPLATES), parameters, environment, image)
    found = [finding for rule in RULES for finding in rule(plan)]
    looked = {"P"}
    # A dry run without an account has nothing to read.
    if not templates_only and not (aws.dry_run and not aws.reads):
        of_account = list(account.look(aws, plan, catalogue))
        found += [softened(finding) for finding in of_account] if before_up else of_account
        # Of an account that could not be looked at as a whole, nothing is said to be in order.
        if not {"no_account", "account_not_readable"} & {finding.code for finding in of_account}:
            looked.add("A")
    found += [Finding(code, OK) for code, failure in catalogue.items() if looked & set(failure.seen)]
    told = in_order(found, catalogue)
    print(told_as_json(told, catalogue) if json else told_as_text(told, catalogue, language))
    return 1 if any(finding.status == FAILED for finding in told) else 0


def softened(finding: Finding) -> Finding:
    is_soft = finding.status == FAILED and finding.code not in IN_THE_WAY_OF_UP
    return replace(finding, status=WARNING) if is_soft else finding


def in_order(found: Iterable[Finding], catalogue: Mapping[str, Failure]) -> list[Finding]:
    """Each finding once, in the order of the list; what is in order only where nothing else is said of it."""
    once = list(dict.fromkeys(found))
    wrong = {finding.code for finding in once if finding.status != OK}
    kept = [finding for finding in once if finding.status != OK or finding.code not in wrong]
    places = list(catalogue)
    return sorted(kept, key=lambda finding: places.index(finding.code))
