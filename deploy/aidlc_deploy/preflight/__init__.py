"""`aidlc-deploy preflight`: what would fail, or has failed, told from the templates and the account.

The rules about the templates are one module per topic, each rule a function from the `Plan` to findings;
`account/` holds those that ask AWS. What the task itself would say is `aidlc-auth doctor`'s to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..aws import Aws
from ..templates import Parameters, load_templates
from . import account, capacity, exports, image, logs, network, parameters, secrets, traffic
from .catalogue import Failure, load_catalogue
from .finding import FAILED, OK, WARNING, Finding, told_as_json, told_as_text
from .plan import Plan

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "deploy" / "cloudformation"
# Where deploy/image/build leaves what the image is made of.
BINARY = ROOT / "target" / "image" / "rootfs" / "aidlc-auth"

# Of the account's failures those that `up` neither mends nor waits for. The others are its daily bread: a task
# that could not start before must not keep the release away that mends it.
IN_THE_WAY_OF_UP = {"no_account", "stack_update_rollback_failed", "mail_rejected", "certificate"}

# The code that each rule is about, so that what is in order can be told too.
RULES = {
    "resource_initialization": network.starting,
    "image_architecture": lambda plan: image.architecture(plan, BINARY),
    "secret_key_suffix": secrets.keys,
    "secret_access": secrets.access,
    "no_circuit_breaker": traffic.circuit_breaker,
    "target_group_unattached": traffic.listener,
    "killed_while_starting": traffic.health_checks,
    "targets_unhealthy": traffic.reachable,
    "security_group_cycle": network.cycles,
    "export_in_use": exports.changing,
    "export_missing": exports.missing,
    "password_in_url": secrets.passwords_in_urls,
    "too_many_connections": capacity.connections,
    "out_of_memory": capacity.memory,
    "exec_not_connected": network.command_execution,
    "desired_count": capacity.desired_count,
    "no_logs": logs.logs,
    "mail_rejected": network.way_to_mail,
    "bad_gateway_at_deploy": traffic.smooth,
    "parameter_refused": parameters.refused,
}


def run(
    environment: str,
    aws: Aws,
    parameters: Parameters,
    *,
    json: bool = False,
    language: str = "en",
    templates_only: bool = False,
    before_up: bool = False,
) -> int:
    """Looks, prints what it found, and answers the exit status: 1 if something failed.

    Before `up`, what `up` itself sees to is a warning.
    """
    catalogue = load_catalogue()
    plan = Plan(load_templates(TEMPLATES), parameters, environment)
    found = of_templates(plan)
    # A dry run without an account has nothing to read.
    if not templates_only and not (aws.dry_run and not aws.reads):
        of_account = list(account.look(aws, plan, catalogue))
        found += [softened(finding) for finding in of_account] if before_up else of_account
    told = in_order(found, catalogue)
    print(told_as_json(told, catalogue) if json else told_as_text(told, catalogue, language))
    return 1 if any(finding.status == FAILED for finding in told) else 0


def of_templates(plan: Plan) -> list[Finding]:
    """What the rules about the templates and the image found, and what they found in order."""
    found: list[Finding] = []
    for code, rule in RULES.items():
        found += list(rule(plan)) or [Finding(code, OK)]
    return found


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
