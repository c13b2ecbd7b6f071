"""4, 5, 20: secrets reach the task one by one, by roles that may read them, and stand in no URL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding, failed
from .plan import Container, Plan
from .roles import role_of

# `arn:…:secret:name-AbCdEf`, or a reference to one, then `:key:stage:version`.
SECRET = re.compile(r"(?P<secret>\{[^}]+\}|arn:[^:]*:secretsmanager:[^:]*:[^:]*:secret:[^:]+)(?P<rest>.*)")
ONE_KEY = re.compile(r":(?P<key>[^:]+):[^:]*:[^:]*")

PASSWORD_IN_URL = re.compile(r"[a-z+-]+://[^/?#]*:[^/?#]*@|\{\{resolve:secretsmanager")


def keys(plan: Plan) -> Iterator[Finding]:
    """4: every secret variable names one key, and that key is in the secret."""
    for container in plan.containers():
        for variable, source in container.secrets.items():
            named = SECRET.fullmatch(source)
            # A parameter of Systems Manager has no keys.
            wrong = named and wrong_key(plan, named["secret"], named["rest"])
            if wrong:
                yield failed("secret_key_suffix", f"{container.place}: the valueFrom of {variable} {wrong}")


def wrong_key(plan: Plan, reference: str, rest: str) -> str | None:
    one = ONE_KEY.fullmatch(rest)
    if not one:
        return f"ends with {rest!r}, not with :key::" if rest else "names no key: it ends with the ARN, not with :key::"
    secret = plan.resource(reference)
    generated = (secret.properties.get("GenerateSecretString") or {}) if secret else {}
    key = generated.get("GenerateStringKey")
    return f"asks for the key {one['key']}, and {secret.place}, has {key}" if key and key != one["key"] else None


def access(plan: Plan) -> Iterator[Finding]:
    """5: the execution role reads what stands in valueFrom, the task role what the service reads."""
    for container in plan.containers():
        for variable, source in container.secrets.items():
            if named := SECRET.fullmatch(source):
                yield from unreadable(plan, container, "ExecutionRoleArn", variable, named["secret"])
        if secret := container.environment.get("DATABASE_SECRET_ARN"):
            yield from unreadable(plan, container, "TaskRoleArn", "DATABASE_SECRET_ARN", secret)


def unreadable(plan: Plan, container: Container, which: str, variable: str, secret: str) -> Iterator[Finding]:
    role = role_of(plan, container.task, which)
    if not role:
        yield failed("secret_access", f"{container.task.place}: no {which}, which must read {variable}")
    elif not role.allows("secretsmanager:GetSecretValue", [secret]):
        yield failed("secret_access", f"{role.place}: no secretsmanager:GetSecretValue on the secret of {variable}")
    elif (key := own_key(plan, secret)) and not role.allows("kms:Decrypt", [key]):
        yield failed("secret_access", f"{role.place}: no kms:Decrypt on the key of the secret of {variable}")


def own_key(plan: Plan, reference: str) -> str | None:
    """The KMS key of our own that a secret is encrypted with."""
    secret = plan.resource(reference)
    if not secret:
        return None
    # RDS's secret is a property of the database.
    holder = secret.properties.get("MasterUserSecret") if "MasterUserSecret" in reference else secret.properties
    key = (holder or {}).get("KmsKeyId")
    return plan.text(key, secret.template) if key else None


def passwords_in_urls(plan: Plan) -> Iterator[Finding]:
    """20: no plain variable carries a password. The value itself is never told."""
    for container in plan.containers():
        for variable, value in container.environment.items():
            if PASSWORD_IN_URL.search(value):
                yield failed("password_in_url", f"{container.place}: {variable} carries a password in its value")
