"""Whether the parameter file gives the templates what they ask for, and nothing is given by default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .finding import Finding, failed
from .plan import GIVEN_BY_THE_COMMAND, Plan


def refused(plan: Plan) -> Iterator[Finding]:
    """What CloudFormation would refuse before it begins."""
    known = {**plan.parameters.values, **GIVEN_BY_THE_COMMAND, "Environment": plan.environment}
    for template in plan.written:
        for name, declared in template.parameters.items():
            if "Default" in declared:
                yield failed("parameter_refused", f"{template.file}: {name} has a Default")
            wrong = refusal(declared, known[name]) if name in known else "is not given"
            if wrong:
                yield failed("parameter_refused", f"{template.file}: {name} {wrong} in {plan.parameters.path.name}")


def refusal(declared: dict[str, Any], value: str) -> str | None:
    allowed = [str(it) for it in declared.get("AllowedValues") or []]
    if allowed and value not in allowed:
        return f"is none of {', '.join(allowed)}"
    if not re.search(declared.get("AllowedPattern", ""), value):
        return f"does not look like {declared['AllowedPattern']}"
    if declared.get("Type") == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return "is no number"
        if not float(declared.get("MinValue", "-inf")) <= float(value) <= float(declared.get("MaxValue", "inf")):
            return f"is not between {declared.get('MinValue')} and {declared.get('MaxValue')}"
    return None
