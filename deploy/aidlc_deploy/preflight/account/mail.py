"""29: SES sends for us, from our address, to anyone."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, failed
from .reading import Account


def mail(account: Account) -> Iterator[Finding]:
    """Only where mail goes by SES."""
    if any(container.environment.get("MAIL_TRANSPORT") == "ses" for container in account.plan.containers()):
        for wrong in [*sending(account), *identity(account)]:
            yield failed("mail_rejected", wrong)


def sending(account: Account) -> Iterator[str]:
    found = account.read("sesv2", "get-account")
    if found and not found.get("ProductionAccessEnabled"):
        yield f"the account is in the SES sandbox in {account.plan.region}: mail goes to verified addresses only"
    if found and not found.get("SendingEnabled"):
        yield f"SES has paused sending for this account; its EnforcementStatus is {found.get('EnforcementStatus')}"


def identity(account: Account) -> Iterator[str]:
    name = account.plan.parameters.values.get("MailIdentity", "")
    call = ("sesv2", "get-email-identity", "--email-identity", name)
    found = account.read(*call)
    if account.is_absent(*call):
        yield f"SES does not know the identity {name} in {account.plan.region}"
    elif found and not found.get("VerifiedForSendingStatus"):
        yield f"the identity {name} is not verified: {found.get('VerificationStatus')}"
