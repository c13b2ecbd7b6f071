"""What the templates and parameter files owe each other; no linter of single templates sees it.

The order of deployment and the exports that cross it, parameters and the files that give them, names that
operators and commands rely on, one port everywhere, and no secret where anyone can read it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .templates import APPLICATION, ENVIRONMENTS, Parameters, Template, TemplateError, text_of, values_of

ORDER = ("network", "security-groups", "database", "iam", "endpoints", "registry", "service", "monitoring")
PORT = 8001
CONTAINER = APPLICATION

# What `aidlc-deploy` gives by itself beside `Environment`, so that no file has it.
GIVEN = {
    "ImageTag": "1",
    "RunningTaskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/family:1",
    "OneTask": "false",
    "MailSubscription": "true",
}

SECRET_NAME = re.compile(r"password|passwd|secret|token|credential|private_?key", re.IGNORECASE)
SECRET_PROPERTY = re.compile(r"(Master)?(User)?Password|AuthToken|SecretString")
SECRET_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a user's password in a URL
    r"|AKIA[0-9A-Z]{16}"  # an access key of AWS
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


@dataclass(frozen=True)
class Breach:
    """One rule that is not kept: which, in which file, and in words."""

    rule: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {self.text}"


def breaches(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> list[Breach]:
    """Everything that is wrong with `templates` (in deploy order) and `parameters` (by environment)."""
    rules = (order, exports, imports, declarations, files, values, secrets, ports, names)
    return [breach for rule in rules for breach in rule(templates, parameters)]


def order(templates: Sequence[Template], _: Mapping[str, Parameters]) -> Iterator[Breach]:
    """A file's number is its place, and the places are the agreed ones."""
    for place, (template, name) in enumerate(zip(templates, ORDER), start=1):
        if (template.number, template.name) != (place, name):
            yield Breach("order", template.file, f"{place}-{name}.yaml belongs here")
    for template in templates[len(ORDER) :]:
        yield Breach("order", template.file, "is not one of the agreed templates")
    for name in ORDER[len(templates) :]:
        yield Breach("order", f"{ORDER.index(name) + 1}-{name}.yaml", "is missing")


def exports(templates: Sequence[Template], _: Mapping[str, Parameters]) -> Iterator[Breach]:
    """Every output is exported, once, under `${Environment}-aidlc-auth-` and its own name in kebab case."""
    exporters: dict[str, str] = {}
    for template in templates:
        for output in template.outputs:
            export = template.exports().get(output)
            if export is None:
                yield Breach("output-without-export", template.file, f"the output {output} is not exported")
                continue
            wanted = f"${{Environment}}-{APPLICATION}-{kebab(output)}"
            if export != wanted:
                yield Breach("export-name", template.file, f"the output {output} is exported as {export}, not {wanted}")
            if export in exporters:
                yield Breach("export-duplicate", template.file, f"{export} is exported by {exporters[export]} too")
            exporters.setdefault(export, template.file)


def imports(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> Iterator[Breach]:
    """What is imported was exported by a template before, in every environment, and does not change."""
    yield from _imports_in_order(templates)
    yield from _imports_in_environments(templates, parameters)
    yield from _imports_that_change(templates)


def declarations(templates: Sequence[Template], _: Mapping[str, Parameters]) -> Iterator[Breach]:
    """Parameters have no default, hold no secret, are used, and mean the same wherever they are declared."""
    first: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for template in templates:
        if "Environment" not in template.parameters:
            yield Breach("parameter-environment", template.file, "the parameter Environment is not declared")
        used = set(_names_used(template.document))
        for name, declared in template.parameters.items():
            if "Default" in declared:
                yield Breach("parameter-default", template.file, f"{name} has a default; values belong into params/")
            # An ARN says where a secret is, not what it is.
            if SECRET_NAME.search(name) and not name.endswith("Arn") or declared.get("NoEcho"):
                yield Breach("parameter-secret", template.file, f"{name}: a secret is never a parameter")
            if name not in used:
                yield Breach("parameter-unused", template.file, f"{name} is declared and not used")
            kind = {key: value for key, value in declared.items() if key != "Description"}
            other = first.setdefault(name, (template.file, kind))
            if other[1] != kind and not _narrower(other[1], kind):
                yield Breach("parameter-differs", template.file, f"{name} is declared otherwise in {other[0]}")


def files(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> Iterator[Breach]:
    """The files give what the templates declare: no less, no more, and the same names in every environment."""
    declared = {name for template in templates for name in template.parameters} - {"Environment", *GIVEN}
    for environment in ENVIRONMENTS:
        if environment not in parameters:
            yield Breach("parameter-missing", f"{environment}.json", "is missing")
    for given in parameters.values():
        for name in sorted(declared - set(given.values)):
            yield Breach("parameter-missing", given.path.name, f"{name} is declared by a template and not given")
        for name in sorted(set(given.values) & GIVEN.keys()):
            yield Breach("parameter-unknown", given.path.name, f"{name} is given by aidlc-deploy, not by a file")
        for name in sorted(set(given.values) - declared - GIVEN.keys()):
            near = difflib.get_close_matches(name, declared, 1)
            hint = f"; is {near[0]} meant?" if near else ""
            yield Breach("parameter-unknown", given.path.name, f"{name} is declared by no template{hint}")


def values(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> Iterator[Breach]:
    """CloudFormation would take the values."""
    for environment, given in parameters.items():
        for template in templates:
            for problem in refused_values(template, given.for_template(template, environment, **GIVEN)):
                yield Breach("parameter-refused", given.path.name, f"{template.file}: {problem}")


def secrets(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> Iterator[Breach]:
    """No secret in a template, in a parameter, or in the plain environment of a container."""
    for template in templates:
        for name, container in _containers(template):
            for variable in _plain_variables(container):
                if SECRET_NAME.search(variable) and not variable.endswith("_ARN") or variable == "SECRET_KEYS":
                    yield Breach("plain-secret", template.file, f"{name}: {variable} belongs into Secrets")
        for text in _texts(template.document):
            if SECRET_VALUE.search(text):
                yield Breach("plain-secret", template.file, "a value holds a password or key; it is not repeated here")
        for resource, key, value in _properties(template, SECRET_PROPERTY):
            if "{{resolve:secretsmanager:" not in text_of(value):
                yield Breach("plain-secret", template.file, f"{resource}: {key} is not taken from Secrets Manager")
    for given in parameters.values():
        for name, value in given.values.items():
            if SECRET_VALUE.search(value):
                yield Breach("plain-secret", given.path.name, f"{name} holds a password or key, not repeated here")


def ports(templates: Sequence[Template], _: Mapping[str, Parameters]) -> Iterator[Breach]:
    """Program, container, target group, service and security groups speak of one port."""
    for template in templates:
        found: list[tuple[str, Any]] = []
        for name, container in _containers(template):
            found += [(f"{name}: PortMappings", at.get("ContainerPort")) for at in container.get("PortMappings", [])]
            for variable in container.get("Environment", []):
                if variable.get("Name") == "PORT":
                    found.append((f"{name}: the variable PORT", variable.get("Value")))
        for name, group in template.of_type("AWS::ElasticLoadBalancingV2::TargetGroup").items():
            found.append((f"{name}: Port", group["Properties"].get("Port")))
            if "HealthCheckPort" in group["Properties"]:
                found.append((f"{name}: HealthCheckPort", group["Properties"]["HealthCheckPort"]))
        for name, service in template.of_type("AWS::ECS::Service").items():
            for balancer in service["Properties"].get("LoadBalancers", []):
                found.append((f"{name}: LoadBalancers", balancer.get("ContainerPort")))
                other = balancer.get("ContainerName")
                if other != CONTAINER:
                    yield Breach("names", template.file, f"{name}: the container is {CONTAINER}, not {other}")
        found += _between_alb_and_tasks(template)
        for where, port in found:
            if str(port) not in (str(PORT), "traffic-port"):
                yield Breach("port", template.file, f"{where} is {port}, not {PORT}")


def names(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> Iterator[Breach]:
    """What operators, guides and commands call things."""
    for environment, given in parameters.items():
        wanted = {
            ("AWS::Logs::LogGroup", "LogGroupName"): f"/ecs/{environment}-{APPLICATION}",
            ("AWS::ECS::Cluster", "ClusterName"): f"{environment}-aidlc-cluster",
            ("AWS::ECS::Service", "ServiceName"): f"{environment}-{APPLICATION}-service",
            ("AWS::ECS::TaskDefinition", "Cpu"): "256",
            ("AWS::ECS::TaskDefinition", "Memory"): "512",
        }
        for template in templates:
            if template.name != "service":
                continue
            try:
                rendered = template.rendered(given.for_template(template, environment, **GIVEN))
            except TemplateError as error:
                yield Breach("names", template.file, str(error))
                continue
            for (kind, name), value in wanted.items():
                found = [resource["Properties"].get(name) for resource in rendered.of_type(kind).values()]
                if [str(one) for one in found] != [value]:
                    yield Breach("names", template.file, f"in {environment}, {kind} has {name} {found}, not {value}")
            containers = [container.get("Name") for _, container in _containers(rendered)]
            if containers != [CONTAINER]:
                yield Breach("names", template.file, f"the containers are {containers}, not {CONTAINER} alone")


def refused_values(template: Template, given: Mapping[str, str]) -> list[str]:
    """Why CloudFormation would refuse these parameters for this template, in words; values are not repeated."""
    problems = [f"{name} is not given" for name in template.parameters if name not in given]
    problems += [f"{name} is not declared" for name in given if name not in template.parameters]
    for name, declared in template.parameters.items():
        if name not in given:
            continue
        value = str(given[name])
        if "AllowedValues" in declared and value not in map(str, declared["AllowedValues"]):
            problems.append(f"{name} is none of {', '.join(map(str, declared['AllowedValues']))}")
        if "AllowedPattern" in declared and not re.search(rf"^(?:{declared['AllowedPattern']})$", value):
            problems.append(f"{name} is not like {declared['AllowedPattern']}")
        if declared.get("Type") == "Number":
            problems += _refused_number(name, value, declared)
    if not problems:
        problems += template.broken_rules(given)
    return problems


def kebab(name: str) -> str:
    """`VpcId` is `vpc-id`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _imports_in_order(templates: Sequence[Template]) -> Iterator[Breach]:
    exporters = {export: template for template in templates for export in template.exports().values()}
    for template in templates:
        for name in template.imports():
            exporter = exporters.get(name)
            if exporter is None:
                near = difflib.get_close_matches(name, exporters, 1)
                hint = f"; is {near[0]} meant?" if near else ""
                yield Breach("import-unknown", template.file, f"no template exports {name}{hint}")
            elif exporter.number >= template.number:
                yield Breach("import-order", template.file, f"{name} is exported by {exporter.file}, which comes later")


def _imports_in_environments(templates: Sequence[Template], parameters: Mapping[str, Parameters]) -> Iterator[Breach]:
    """An output may be there in one environment and not in another."""
    everywhere = {export for template in templates for export in template.exports().values()}
    for environment, given in parameters.items():
        exported: set[str] = set()
        for template in templates:
            try:
                rendered = template.rendered(given.for_template(template, environment, **GIVEN), given.region)
            except TemplateError as error:
                yield Breach("template", template.file, str(error))
                continue
            for name in rendered.imports():
                generic = name.replace(f"{environment}-", "${Environment}-", 1)
                if generic in everywhere and name not in exported and _comes_before(templates, generic, template):
                    text = f"{name} is imported and, by its condition, not exported"
                    yield Breach("import-conditional", template.file, text)
            exported |= set(rendered.exports().values())


def _comes_before(templates: Sequence[Template], export: str, template: Template) -> bool:
    return any(export in one.exports().values() for one in templates if one.number < template.number)


def _imports_that_change(templates: Sequence[Template]) -> Iterator[Breach]:
    """An export in use cannot change, so what changes with every release must not be imported."""
    changing = set()
    for template in templates:
        revisions = [{"Ref": name} for name in template.of_type("AWS::ECS::TaskDefinition")]
        changing |= {
            export for output, export in template.exports().items() if template.outputs[output]["Value"] in revisions
        }
    for template in templates:
        for name in template.imports():
            if name in changing:
                yield Breach("import-of-change", template.file, f"{name} changes with every release, and could not any more")


def _narrower(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the two differ only in that one checks what the other takes."""
    checks = {"AllowedPattern", "MinValue", "MaxValue"}
    return all(one[key] == other[key] for key in one.keys() & other.keys()) and one.keys() ^ other.keys() <= checks


def _names_used(node: Any) -> Iterator[str]:
    """Names in `Ref` and `${…}`; conditions and rules count as uses."""
    yield from (name for name in values_of(node, "Ref") if isinstance(name, str))
    for sub in values_of(node, "Fn::Sub"):
        for text in _texts(sub):
            yield from re.findall(r"\$\{([A-Za-z0-9]+)\}", text)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)


def _properties(template: Template, named: re.Pattern[str]) -> Iterator[tuple[str, str, Any]]:
    for resource, written in template.resources.items():
        for key, value in (written.get("Properties") or {}).items():
            if named.fullmatch(key):
                yield resource, key, value


def _containers(template: Template) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, resource in template.of_type("AWS::ECS::TaskDefinition").items():
        for container in resource["Properties"].get("ContainerDefinitions", []):
            yield name, container


def _plain_variables(container: Mapping[str, Any]) -> Iterable[str]:
    return (name for name in values_of(container.get("Environment", []), "Name") if isinstance(name, str))


def _between_alb_and_tasks(template: Template) -> list[tuple[str, Any]]:
    """The ports of the two rules by which the load balancer reaches the tasks."""
    found = []
    for kind, own, other in (
        ("AWS::EC2::SecurityGroupEgress", "AlbGroup", "TaskGroup"),
        ("AWS::EC2::SecurityGroupIngress", "TaskGroup", "AlbGroup"),
    ):
        for name, rule in template.of_type(kind).items():
            written = rule["Properties"]
            ends = [written.get("SourceSecurityGroupId"), written.get("DestinationSecurityGroupId")]
            if written.get("GroupId") == {"Ref": own} and {"Ref": other} in ends:
                found += [(f"{name}: {key}", written.get(key)) for key in ("FromPort", "ToPort")]
    return found


def _refused_number(name: str, value: str, declared: Mapping[str, Any]) -> list[str]:
    try:
        number = float(value)
    except ValueError:
        return [f"{name} is no number"]
    if number < float(declared.get("MinValue", "-inf")) or number > float(declared.get("MaxValue", "inf")):
        return [f"{name} is not from {declared.get('MinValue', 'any')} to {declared.get('MaxValue', 'any')}"]
    return []
