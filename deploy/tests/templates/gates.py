"""Linters over the templates, with a written reason for each finding that stays.

    python gates.py cfn-lint
    python gates.py checkov CHECKOV      # the path of its program, which lives in an environment of its own
    python gates.py policies

cfn-lint reads the templates as they are, for every region and engine. The others read what CloudFormation
would make of them, per environment: a choice by parameter is then a fact, not a guess of the linter's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(DEPLOY))

from aidlc_deploy.contract import GIVEN  # noqa: E402
from aidlc_deploy.templates import ENVIRONMENTS, Template, load_parameters, load_templates  # noqa: E402

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")


@dataclass(frozen=True)
class Finding:
    """What a gate says of one resource in one environment."""

    check: str
    environment: str
    file: str
    resource: str
    text: str

    def __str__(self) -> str:
        return f"{self.environment}: {self.file}: {self.resource}: {self.check}: {self.text}"


def main(gate: str, *arguments: str) -> int:
    if gate == "cfn-lint":
        return cfn_lint()
    look = {"checkov": checkov, "policies": policies}[gate]
    rendered = {environment: list(_rendered(environment)) for environment in ENVIRONMENTS}
    return _without_exceptions(gate, look(rendered, *arguments))


def cfn_lint() -> int:
    """Informational findings count too."""
    regions = sorted({load_parameters(path).region for path in (DEPLOY / "params").glob("*.json")})
    paths = [str(template.path) for template in load_templates(DEPLOY / "cloudformation")]
    program = str(Path(sys.executable).with_name("cfn-lint"))
    command = [program, "--include-checks", "I", "--regions", *regions, "--template", *paths]
    status = subprocess.run(command, check=False).returncode
    print("cfn-lint: clean" if status == 0 else "cfn-lint: findings")
    return status


def checkov(rendered: dict[str, list[Template]], program: str) -> list[Finding]:
    """Checkov with what it brings along; it asks nobody."""
    findings = []
    for environment, templates in rendered.items():
        with tempfile.TemporaryDirectory() as folder:
            for template in templates:
                Path(folder, f"{template.path.stem}.json").write_text(json.dumps(template.document))
            command = [program, "--directory", folder, "--framework", "cloudformation", "--skip-download", "--output", "json"]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            try:
                report = json.loads(told.stdout)
            except ValueError:
                raise SystemExit(f"checkov said no report:\n{told.stdout}{told.stderr}") from None
            if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
                raise SystemExit(f"checkov could not read the templates:\n{told.stdout}")
            findings += [_of_checkov(environment, one) for one in report["results"]["failed_checks"]]
    return findings


def policies(rendered: dict[str, list[Template]]) -> list[Finding]:
    """What a role is allowed: by parliament, and every statement that names no resource."""
    from parliament import analyze_policy_string

    findings = []
    for environment, templates in rendered.items():
        for template in templates:
            for resource, document in _policies(template):
                where = environment, template.file
                for said in analyze_policy_string(json.dumps(_with_examples(document))).findings:
                    findings.append(Finding(said.issue, *where, resource, str(said.detail)))
                for statement in document["Statement"]:
                    named = f"{resource}.{statement.get('Sid', '')}"
                    actions = statement.get("Action", "*")
                    if statement.get("Resource") == "*":
                        findings.append(Finding("EVERY_RESOURCE", *where, named, str(actions)))
                    if any("*" in action for action in ([actions] if isinstance(actions, str) else actions)):
                        findings.append(Finding("EVERY_ACTION", *where, named, str(actions)))
    return findings


def _rendered(environment: str) -> Iterator[Template]:
    parameters = load_parameters(DEPLOY / "params" / f"{environment}.json")
    for template in load_templates(DEPLOY / "cloudformation"):
        yield template.rendered(parameters.for_template(template, environment, **GIVEN), parameters.region)


def _policies(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """What roles are allowed. Who may take a role on, or publish to a topic, is another kind of policy."""
    for name, resource in template.resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                yield name, policy["PolicyDocument"]
        if resource["Type"] in ("AWS::IAM::RolePolicy", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            yield name, resource["Properties"]["PolicyDocument"]


def _with_examples(node: Any) -> Any:
    """With a plausible ARN wherever only an account knows it."""
    if isinstance(node, list):
        return [_with_examples(item) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and "Fn::ImportValue" in node:
        return "arn:aws:secretsmanager:us-east-1:123456789012:secret:example-AbCdEf"
    if len(node) == 1 and "Fn::GetAtt" in node:
        return "arn:aws:logs:us-east-1:123456789012:log-group:example:*"
    return {key: _with_examples(value) for key, value in node.items()}


def _of_checkov(environment: str, said: dict[str, Any]) -> Finding:
    file = Path(said["file_path"]).with_suffix(".yaml").name
    return Finding(said["check_id"], environment, file, said["resource"].rsplit(".", 1)[-1], said["check_name"])


def _without_exceptions(gate: str, findings: list[Finding]) -> int:
    """Prints what no exception allows, and exceptions that nothing needs; answers an exit status."""
    exceptions = [one for one in tomllib.loads(EXCEPTIONS.read_text())["exception"] if one["gate"] == gate]
    allowed = {
        (one["check"], environment, resource): False
        for one in exceptions
        for environment in one.get("environments", ENVIRONMENTS)
        for resource in one["resources"]
    }
    left = []
    for finding in findings:
        key = finding.check, finding.environment, finding.resource
        if key in allowed:
            allowed[key] = True
        else:
            left.append(str(finding))
    used = {(check, resource) for (check, _, resource), needed in allowed.items() if needed}
    for check, environment, resource in allowed:
        if (check, resource) not in used:
            left.append(f"{EXCEPTIONS.name}: {check} of {resource} in {environment}: nothing needs this exception any more")
    print("\n".join(left) if left else f"{gate}: clean, but for {len(exceptions)} exceptions with their reasons")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
