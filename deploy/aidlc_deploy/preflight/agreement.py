"""12, 13: what the templates and the parameter file owe each other, by the contract between them."""

from __future__ import annotations

from collections.abc import Iterator

from .. import contract
from .finding import Finding, failed
from .plan import Plan

# What CloudFormation would say to a breach of each rule.
CODES = {
    "export-duplicate": "export_in_use",
    "import-of-change": "export_in_use",
    "export-name": "export_missing",
    "import-conditional": "export_missing",
    "import-order": "export_missing",
    "import-unknown": "export_missing",
    "parameter-default": "parameter_refused",
    "parameter-missing": "parameter_refused",
    "parameter-refused": "parameter_refused",
}
RULES = [contract.exports, contract.imports, contract.declarations, contract.values]


def breaches(plan: Plan) -> Iterator[Finding]:
    """The breaches that an operator would meet as a failed stack; the others are a reviewer's matter."""
    parameters = {plan.environment: plan.parameters}
    for rule in RULES:
        for breach in rule(plan.written, parameters):
            if breach.rule in CODES:
                yield failed(CODES[breach.rule], f"{breach.file}: {breach.text}")
