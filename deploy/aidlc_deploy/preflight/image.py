"""3: the image is for the processor that the task names."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding, failed
from .plan import Plan

# How ECS and the head of an ELF file name a processor (ELF gABI, "e_machine").
ARCHITECTURES = {"X86_64": 0x3E, "ARM64": 0xB7}


def architecture(plan: Plan) -> Iterator[Finding]:
    """Compares with the program that was built last, if there is one."""
    binary = plan.image / "aidlc-auth"
    for task in plan.all("AWS::ECS::TaskDefinition"):
        named = (task.properties.get("RuntimePlatform") or {}).get("CpuArchitecture")
        if named not in ARCHITECTURES:
            yield failed(
                "image_architecture", f"{task.place}: RuntimePlatform.CpuArchitecture is {named or 'not given'}"
            )
        elif binary.exists() and machine_of(binary) != ARCHITECTURES[named]:
            yield failed(
                "image_architecture",
                f"{task.place}: CpuArchitecture is {named}, and {binary.name} was built for {built_for(binary)}",
            )


def built_for(binary: Path) -> str:
    machine = machine_of(binary)
    names = {code: name for name, code in ARCHITECTURES.items()}
    return names.get(machine, "no processor that Fargate has")


def machine_of(binary: Path) -> int | None:
    """The processor that a program is for, None if it is no ELF file at all."""
    with binary.open("rb") as file:
        head = file.read(20)
    return struct.unpack_from("<H", head, 18)[0] if head[:4] == b"\x7fELF" and len(head) == 20 else None
