"""Every call is one that AWS has, and every recorded answer one that AWS could give, by botocore's models."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from looking import ANSWERS, account, recorded

NAMES = sorted(path.stem for path in ANSWERS.glob("*.json"))
# The command's own, for any call that pages.
PAGING = {"max-items", "page-size", "starting-token"}
# Models have the bare exception; this one is how several APIs say it for any operation.
ANY_OPERATION = {"AccessDeniedException", "ThrottlingException"}


@cache
def model(service: str):
    return botocore.session.get_session().get_service_model(service)


def operation(service: str, words: str):
    return next(
        model(service).operation_model(name)
        for name in model(service).operation_names
        if xform_name(name, "-") == words
    )


def strays(value: Any, shape: Any, place: str) -> list[str]:
    """Where a value is not of its shape."""
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            return [f"{place} is no structure"]
        unknown = [f"{place}.{name} is unknown" for name in value if name not in shape.members]
        return unknown + [
            it
            for name in value
            if name in shape.members
            for it in strays(value[name], shape.members[name], f"{place}.{name}")
        ]
    if shape.type_name == "list":
        return (
            [it for at, item in enumerate(value) for it in strays(item, shape.member, f"{place}[{at}]")]
            if isinstance(value, list)
            else [f"{place} is no list"]
        )
    if shape.type_name == "map":
        return [it for name, item in value.items() for it in strays(item, shape.value, f"{place}.{name}")]
    if shape.type_name == "string" and shape.enum and value.lower() not in map(str.lower, shape.enum):
        # EC2 answers in lower case what its model has with a capital.
        return [f"{place} is {value!r}, none of {shape.enum}"]
    kinds = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "long": int,
        "double": (int, float),
        "float": (int, float),
        "timestamp": (str, int, float),
    }
    return [] if isinstance(value, kinds[shape.type_name]) else [f"{place} is no {shape.type_name}"]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_one_that_aws_could_give(name):
    for call, answer in recorded(name)["answers"].items():
        service, words = call.split()[:2]
        asked = operation(service, words)
        if isinstance(answer, dict):
            assert strays(answer, asked.output_shape, call) == []
        elif error := re.search(r"\((\w+)\) when calling the (\w+) operation", answer):
            assert error[2] == asked.name
            assert error[1] in {shape.name for shape in asked.error_shapes} | ANY_OPERATION


@pytest.mark.parametrize("name", NAMES)
def test_a_call_is_one_that_aws_has(deployment, name):
    aws = account(name)
    deployment.look("production", aws)

    for service, words, *arguments in set(aws.calls):
        members = operation(service, words).input_shape.members if arguments else {}
        options = {xform_name(member, "-") for member in members} | PAGING
        assert {word.removeprefix("--") for word in arguments if word.startswith("--")} <= options
        assert words.startswith(("describe-", "get-", "list-", "lookup-", "filter-", "simulate-"))
        assert words != "get-secret-value"
