"""30: the load balancer's certificate is issued, in its region, for our host."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..finding import Finding, failed
from .reading import Account


def certificate(account: Account) -> Iterator[Finding]:
    """Only where there is to be one."""
    arn = account.plan.parameters.values.get("CertificateArn", "")
    if arn:
        for wrong in wrong_certificate(account, arn):
            yield failed("certificate", wrong)


def wrong_certificate(account: Account, arn: str) -> Iterator[str]:
    region = arn.split(":")[3]
    if region != account.plan.region:
        yield f"CertificateArn is of {region}, and the load balancer is in {account.plan.region}"
        return
    call = ("acm", "describe-certificate", "--certificate-arn", arn)
    answer = account.read(*call)
    if account.is_absent(*call):
        yield f"there is no certificate {arn}"
    if not answer:
        return
    found = answer["Certificate"]
    if found["Status"] != "ISSUED":
        yield f"{arn} is {found['Status']}"
    host = urlsplit(account.plan.parameters.values.get("PublicUrl", "")).hostname
    names = {found["DomainName"], *(found.get("SubjectAlternativeNames") or [])}
    if host and not any(covers(name, host) for name in names):
        yield f"{arn} is for {', '.join(sorted(names))}, and PublicUrl's host is {host}"


def covers(name: str, host: str) -> bool:
    """Whether a certificate's name is the host's; a wildcard stands for one label."""
    return name == host or (name.startswith("*.") and name[1:] == host[host.find(".") :])
