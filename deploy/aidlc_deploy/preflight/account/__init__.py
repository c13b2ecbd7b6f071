"""What the account says: reading calls only, and none that reads a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...aws import Aws, AwsError
from ..catalogue import Failure
from ..finding import Finding, failed
from ..plan import Plan
from . import certificate, database, mail, network, registry, roles, stacks, tasks
from .reading import Account

RULES = [
    stacks.states,
    stacks.reasons,
    stacks.removed_exports,
    tasks.deployment,
    tasks.sessions,
    roles.secret_keys,
    roles.secret_access,
    roles.log_access,
    network.doors,
    network.prefix_list,
    registry.image,
    registry.tags,
    database.secret,
    mail.mail,
    certificate.certificate,
]


def look(aws: Aws, plan: Plan, catalogue: Mapping[str, Failure]) -> Iterator[Finding]:
    """Everything that is wrong in the account, and what could not be looked at."""
    try:
        aws.call("sts", "get-caller-identity")
    except AwsError as error:
        yield failed("no_account", f"region {aws.region}: {error.message}")
        return
    account = Account(aws, plan)
    for rule in RULES:
        yield from rule(account)
    yield from tasks.reasons(account, catalogue)
    yield from account.unreadable
