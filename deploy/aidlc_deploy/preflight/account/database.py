"""19: RDS rotates the password in good order, and the task reads that very secret."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, failed
from .reading import Account
from .roles import plain


def secret(account: Account) -> Iterator[Finding]:
    """What RDS says of the secret that it manages; the secret itself is not read."""
    for database in account.plan.all("AWS::RDS::DBInstance"):
        name = account.physical(database.reference)
        if not name:
            continue
        for found in account.listed("DBInstances", "rds", "describe-db-instances", "--db-instance-identifier", name):
            managed = found.get("MasterUserSecret") or {}
            if managed.get("SecretStatus") == "impaired":
                yield failed(
                    "database_password", f"{name}: its MasterUserSecret is impaired, so the password is not rotated"
                )
            read = [variable["value"] for variable in plain(account) if variable["name"] == "DATABASE_SECRET_ARN"]
            if managed and read and managed["SecretArn"] not in read:
                yield failed(
                    "database_password",
                    f"{name}: the task reads {read[0]}, and RDS keeps the password in {managed['SecretArn']}",
                )
