"""How values find each other inside a template: what moto's resolver lacks."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

import boto3
import moto.cloudformation.parsing as parsing
from moto.cloudformation.exceptions import ValidationError

DYNAMIC = re.compile(
    r"\{\{resolve:secretsmanager:"
    r"(?P<secret>arn:(?:[^:}]+:){5}[^:}]+|[^:}]+):SecretString:(?P<key>[^:}]*)(?::[^}]*)?\}\}"
)


def install(endpoint: str) -> None:
    """Teaches moto `Fn::Cidr` and `{{resolve:secretsmanager:…}}`, and to refuse what it does not know."""
    known = parsing.clean_json
    class_of = parsing.resource_class_from_type

    def resolved(node: Any, resources: Any) -> Any:
        if isinstance(node, dict) and "Fn::Cidr" in node:
            return _subnets(*(resolved(argument, resources) for argument in node["Fn::Cidr"]))
        value = known(node, resources)
        # Inside `Fn::Sub` it comes here twice, the first time with its `${…}`.
        if isinstance(value, str) and "{{resolve:" in value and "${" not in value:
            value = DYNAMIC.sub(lambda reference: _secret(endpoint, reference), value)
            if "{{resolve:" in value:
                raise ValidationError(message=f"the stand-in does not know this reference: {value}")
        return value

    def class_or_refusal(kind: str) -> Any:
        found = class_of(kind)
        if found is None and kind not in parsing.NULL_MODELS:
            raise ValidationError(message=f"the stand-in does not know {kind}: teach it in stand_in/resources.py")
        return found

    parsing.clean_json = resolved
    parsing.resource_class_from_type = class_or_refusal


def _subnets(network: str, count: Any, bits: Any) -> list[str]:
    parts = ipaddress.ip_network(network).subnets(new_prefix=32 - int(bits))
    return [str(part) for part, _ in zip(parts, range(int(count)))]


def _secret(endpoint: str, reference: re.Match[str]) -> str:
    region = reference["secret"].split(":")[3] if reference["secret"].startswith("arn:") else "us-east-1"
    client = boto3.client(
        "secretsmanager",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="stand-in",
        aws_secret_access_key="stand-in",
    )
    text = client.get_secret_value(SecretId=reference["secret"])["SecretString"]
    return json.loads(text)[reference["key"]] if reference["key"] else text
