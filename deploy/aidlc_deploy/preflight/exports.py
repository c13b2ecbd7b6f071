"""12, 13: what a stack imports was exported before, and an export that is imported never changes.

The rule for the names themselves is the contract's; here is what CloudFormation would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from .finding import Finding, failed
from .plan import GIVEN_BY_THE_COMMAND, Plan
from ..templates import Template

# Each release makes a new one of these.
CHANGING_TYPES = ("AWS::ECS::TaskDefinition",)


def changing(plan: Plan) -> Iterator[Finding]:
    """12: CloudFormation refuses to change what another stack imports, so nothing may import what changes."""
    for exporter in plan.templates:
        for name, output in exporter.outputs.items():
            exported = plan.text((output.get("Export") or {}).get("Name", ""), exporter)
            importers = [it.file for it in plan.templates if exported and exported in it.imports()]
            if importers and changes(plan, exporter, name):
                yield failed("export_in_use", f"{exporter.file}, {name}: {exported} changes at each release, and {', '.join(importers)} imports it")


def changes(plan: Plan, exporter: Template, name: str) -> bool:
    written = next(it for it in plan.written if it.name == exporter.name)
    value = str(written.outputs[name]["Value"])
    # The command gives these another value at each release.
    if any(f"'Ref': '{parameter}'" in value or f"${{{parameter}}}" in value for parameter in GIVEN_BY_THE_COMMAND):
        return True
    resource = plan.resource(plan.text(exporter.outputs[name]["Value"], exporter))
    return bool(resource) and resource.body.get("Type") in CHANGING_TYPES


def missing(plan: Plan) -> Iterator[Finding]:
    """13: every name that is imported is exported by an earlier template."""
    known: dict[str, str] = {}
    for template in plan.templates:
        for name in template.imports():
            if name not in known:
                yield failed("export_missing", f"{template.file}: imports {name}, {hint(plan, name, known)}")
        known |= {plan.text(it["Export"]["Name"], template): template.file for it in template.outputs.values() if it.get("Export")}


def hint(plan: Plan, name: str, known: dict[str, str]) -> str:
    if name in plan.exported:
        exporter, _ = plan.exported[name]
        return f"which {exporter.file} exports only later"
    nearest = get_close_matches(name, known, n=1)
    return f"which nothing exports; the nearest is {nearest[0]} of {known[nearest[0]]}" if nearest else "which nothing exports"

