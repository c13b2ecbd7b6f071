"""The CloudFormation templates and parameter files, as objects that rules can ask.

    templates = load_templates(Path("deploy/cloudformation"))       # in deploy order
    parameters = load_parameters(Path("deploy/params/staging.json"))
    service = by_name(templates, "service")
    staging = service.rendered(parameters.for_template(service, "staging"), region=parameters.region)
    staging.of_type("AWS::ECS::Service")                             # {logical name: resource}

A `Template` is what the file says. `rendered` is what CloudFormation would make of it with these
parameters: conditions decided, resources and outputs whose condition is false left out, `Fn::If` chosen,
`AWS::NoValue` gone, parameters and pseudo parameters put in, `Fn::Sub`, `Fn::Join` and `Fn::ImportValue`
worked out as far as they go. What only an account can know stays as it was written: `Ref` and
`Fn::GetAtt` of resources, `{{resolve:…}}`, and the imported value itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

APPLICATION = "aidlc-auth"
ENVIRONMENTS = ("staging", "production")

FILE_NAME = re.compile(r"(?P<number>\d+)-(?P<name>[a-z0-9-]+)\.yaml")
SUBSTITUTION = re.compile(r"\$\{(?P<literal>!)?(?P<name>[^}]+)\}")
NO_VALUE = object()


class TemplateError(Exception):
    """A template or parameter file that cannot be read; the message names the file and says why."""


@dataclass(frozen=True)
class Template:
    """One template, and its place in the order of deployment."""

    path: Path
    number: int
    name: str
    document: Mapping[str, Any] = field(repr=False)

    @property
    def file(self) -> str:
        """The file's name, for evidence: `7-service.yaml`."""
        return self.path.name

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.document.get("Parameters") or {}

    @property
    def resources(self) -> Mapping[str, Any]:
        return self.document.get("Resources") or {}

    @property
    def outputs(self) -> Mapping[str, Any]:
        return self.document.get("Outputs") or {}

    @property
    def conditions(self) -> Mapping[str, Any]:
        return self.document.get("Conditions") or {}

    def stack_name(self, environment: str) -> str:
        """`staging-aidlc-auth-network`."""
        return f"{environment}-{APPLICATION}-{self.name}"

    def of_type(self, kind: str) -> dict[str, Any]:
        """The resources of one type, by logical name."""
        return {name: resource for name, resource in self.resources.items() if resource.get("Type") == kind}

    def exports(self) -> dict[str, str]:
        """Export name by output name; as written (`${Environment}-…`) unless rendered."""
        return {
            name: text_of(output["Export"]["Name"])
            for name, output in self.outputs.items()
            if output.get("Export")
        }

    def imports(self) -> list[str]:
        """The names that this template imports, as written unless rendered; each once, in order."""
        found = (text_of(value) for value in values_of(self.document, "Fn::ImportValue"))
        return list(dict.fromkeys(found))

    def rendered(
        self,
        values: Mapping[str, Any],
        region: str = "us-east-1",
        account: str = "123456789012",
    ) -> "Template":
        """What CloudFormation would make of this template with these parameters; see the module."""
        return replace(self, document=_Rendering(self, values, region, account).document())

    def broken_rules(self, values: Mapping[str, Any]) -> list[str]:
        """The sentences of the template's own `Rules` that these parameters break."""
        rendering = _Rendering(self, values, "us-east-1", "123456789012")
        return [
            assertion["AssertDescription"]
            for rule in (self.document.get("Rules") or {}).values()
            if rendering.condition(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not rendering.condition(assertion["Assert"])
        ]


@dataclass(frozen=True)
class Parameters:
    """A parameter file: one flat map, of which each template takes the names it declares."""

    path: Path
    region: str
    values: Mapping[str, str]

    def for_template(self, template: Template, environment: str, **more: str) -> dict[str, str]:
        """The values that `template` declares. `more` are those that the command gives by itself.

        A name that nobody gives is left out: whoever deploys or checks finds it missing.
        """
        known = {**self.values, "Environment": environment, **more}
        return {name: known[name] for name in template.parameters if name in known}


def load_templates(directory: Path) -> list[Template]:
    """All templates of a directory, in the order in which they are deployed."""
    templates = [load_template(path) for path in directory.glob("*.yaml")]
    return sorted(templates, key=lambda template: (template.number, template.name))


def load_template(path: Path) -> Template:
    """One template; its number and name are those of its file."""
    named = FILE_NAME.fullmatch(path.name)
    if not named:
        raise TemplateError(f"{path.name}: a template is named NUMBER-NAME.yaml; the number is its place in the order")
    try:
        document = parsed(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError) as error:
        raise TemplateError(f"{path.name}: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError(f"{path.name}: not a template")
    return Template(path, int(named["number"]), named["name"], document)


def parsed(text: str) -> Any:
    """A template's text as an object, CloudFormation's short forms written out."""
    return yaml.load(text, Loader=_Loader)


def load_parameters(path: Path) -> Parameters:
    """One parameter file; every value as text, as the AWS CLI wants it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        values = {name: str(value) for name, value in document["parameters"].items()}
        return Parameters(path, document["region"], values)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TemplateError(f'{path.name}: not {{"region": …, "parameters": {{…}}}}: {error!r}') from error


def by_name(templates: Iterable[Template], name: str) -> Template:
    """The template of that name: `service`."""
    for template in templates:
        if template.name == name:
            return template
    raise TemplateError(f"there is no template named {name}")


def text_of(value: Any) -> str:
    """A name as text: the string itself, the text of a `Fn::Sub`, else JSON."""
    if isinstance(value, dict) and len(value) == 1 and "Fn::Sub" in value:
        value = value["Fn::Sub"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def values_of(node: Any, key: str) -> Iterator[Any]:
    """Every value that stands under `key`, at any depth."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values_of(value, key)


class _Rendering:
    """One template with one set of parameters."""

    def __init__(self, template: Template, values: Mapping[str, Any], region: str, account: str) -> None:
        self.template = template
        self.known = {
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": template.stack_name(str(values.get("Environment", ""))),
            "AWS::NoValue": NO_VALUE,
            **{name: self.typed(name, value) for name, value in values.items()},
        }

    def typed(self, name: str, value: Any) -> Any:
        kind = self.template.parameters.get(name, {}).get("Type", "String")
        return str(value).split(",") if kind.startswith(("CommaDelimitedList", "List<")) else value

    def document(self) -> dict[str, Any]:
        document = dict(self.template.document)
        for section in ("Resources", "Outputs"):
            document[section] = {
                name: self.value(item)
                for name, item in (self.template.document.get(section) or {}).items()
                if "Condition" not in item or self.condition(item["Condition"])
            }
        return document

    def condition(self, condition: Any) -> bool:
        if isinstance(condition, str):
            if condition not in self.template.conditions:
                raise TemplateError(f"{self.template.file}: there is no condition {condition}")
            return self.condition(self.template.conditions[condition])
        (function, arguments), = condition.items()
        if function == "Condition":
            return self.condition(arguments)
        if function == "Fn::Equals":
            left, right = (self.value(argument) for argument in arguments)
            return str(left) == str(right)
        if function == "Fn::Not":
            return not self.condition(arguments[0])
        if function == "Fn::And":
            return all(self.condition(argument) for argument in arguments)
        if function == "Fn::Or":
            return any(self.condition(argument) for argument in arguments)
        raise TemplateError(f"{self.template.file}: {function} is no condition")

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [made for made in map(self.value, node) if made is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), = node.items()
            if function == "Ref":
                return self.known.get(argument, node)
            if function == "Fn::If":
                return self.value(argument[1] if self.condition(argument[0]) else argument[2])
            if function == "Fn::Sub":
                return self.substituted(argument)
            if function == "Fn::Join":
                return self.joined(argument)
            if function == "Fn::Select":
                return self.selected(argument)
        made = {name: self.value(item) for name, item in node.items()}
        return {name: item for name, item in made.items() if item is not NO_VALUE}

    def substituted(self, argument: Any) -> Any:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        own = {name: self.value(item) for name, item in own.items()}
        left_over: dict[str, Any] = {}
        open_ends = False

        def put_in(match: re.Match[str]) -> str:
            nonlocal open_ends
            name = match["name"]
            value = own.get(name, self.known.get(name))
            if not match["literal"] and isinstance(value, (str, int, float)):
                return str(value)
            if name in own:
                left_over[name] = own[name]
            open_ends = True
            return match[0]

        made = SUBSTITUTION.sub(put_in, text)
        if not open_ends:
            return made
        return {"Fn::Sub": [made, left_over] if left_over else made}

    def joined(self, argument: Any) -> Any:
        separator, parts = argument[0], self.value(argument[1])
        if isinstance(parts, list) and all(isinstance(part, (str, int, float)) for part in parts):
            return separator.join(map(str, parts))
        return {"Fn::Join": [separator, parts]}

    def selected(self, argument: Any) -> Any:
        index, items = self.value(argument[0]), self.value(argument[1])
        if isinstance(items, list):
            return items[int(index)]
        return {"Fn::Select": [index, items]}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # ten times as fast, where it is
    """YAML with CloudFormation's short forms, and dates left as the text they are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """`!Sub x` is `{"Fn::Sub": x}`, and `!GetAtt A.B.C` is `{"Fn::GetAtt": ["A", "B.C"]}`."""
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """YAML would take the last of two equal keys in silence; the first is then lost."""
    names = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for name in names:
        if names.count(name) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"{name} stands twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_without_duplicates)
