"""How the `aws` command refuses, and how its arguments are read."""

from __future__ import annotations


class Refused(Exception):
    """An error of the service, as the command line would show it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def told(self, operation: str) -> str:
        name = "".join(part.title() for part in operation.split("-"))
        return f"\nAn error occurred ({self.code}) when calling the {name} operation: {self.message}\n"


def options(arguments: list[str]) -> dict[str, list[str]]:
    """`--name value value` as {"name": [values]}."""
    found: dict[str, list[str]] = {}
    name = None
    for argument in arguments:
        if argument.startswith("--"):
            name = argument[2:]
            found[name] = []
        else:
            found[name].append(argument)
    return found
