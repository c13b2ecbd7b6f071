"""What is in the image, as CycloneDX 1.5: the crates of the binary, the C library, and the bundles.

Only what ends in the binary counts: cargo resolves features for the image's target, and neither build
scripts, macros nor tests are followed. The same tree gives the same bytes: no date, no random number.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from pathlib import Path

import trust


def bill(root: Path, target: str, version: str) -> dict:
    """The bill of materials of the image that `build` makes of this tree for this target."""
    crates = in_the_binary(root, target)
    checksums = locked_checksums(root)
    components = [crate_component(crate, licence, checksums) for crate, licence in sorted(crates.items())]
    components += [c_library(), *bundles(root)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": "aidlc-auth",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
            "properties": [{"name": "target", "value": target}],
        },
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def in_the_binary(root: Path, target: str) -> dict[tuple[str, str], str]:
    """The licence of every crate that is compiled into the binary, by name and version; ours is not among them."""
    command = ["cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--target", target]
    command += ["--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]
    lines = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    crates = {}
    for line in lines[1:]:
        crate, licence = line.split("\t")
        name, version = crate.split()[:2]
        # Some crates still write `A/B`.
        crates[name, version.lstrip("v")] = licence.replace("/", " OR ")
    return crates


def locked_checksums(root: Path) -> dict[tuple[str, str], str]:
    """The SHA-256 of every crate's archive, as Cargo.lock pins it."""
    packages = (root / "Cargo.lock").read_text().split("[[package]]")
    fields = [dict(re.findall(r'^(name|version|checksum) = "(.*)"$', package, re.MULTILINE)) for package in packages]
    return {(each["name"], each["version"]): each["checksum"] for each in fields if "checksum" in each}


def crate_component(crate: tuple[str, str], licence: str, checksums: dict[tuple[str, str], str]) -> dict:
    name, version = crate
    url = f"pkg:cargo/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
        "hashes": [{"alg": "SHA-256", "content": checksums[crate]}],
        "licenses": [{"expression": licence}],
    }


def c_library() -> dict:
    """Linked statically, from the machine that builds."""
    version = platform.libc_ver()[1]
    return {
        "type": "library",
        "bom-ref": f"glibc@{version}",
        "name": "glibc",
        "version": version,
        "licenses": [{"expression": "LGPL-2.1-or-later"}],
    }


def bundles(root: Path) -> list[dict]:
    """What else lies in the image or in the binary, and came from elsewhere."""
    (page,) = (root / "assets" / "docs").glob("scalar-*.js")
    version = page.stem.removeprefix("scalar-")
    authorities = trust.rds_authorities()
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:npm/%40scalar/api-reference@{version}",
            "name": "@scalar/api-reference",
            "version": version,
            "purl": f"pkg:npm/%40scalar/api-reference@{version}",
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(page.read_bytes()).hexdigest()}],
            "licenses": [{"expression": "MIT"}],
        },
        {
            "type": "data",
            "bom-ref": "rds-ca.pem",
            "name": "rds-ca.pem",
            "description": f"{len(trust.certificates(authorities))} authorities of Amazon RDS",
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(authorities.encode()).hexdigest()}],
        },
    ]


def write(root: Path, target: str, version: str, to: Path) -> int:
    """Writes the bill; gives the number of its components."""
    made = bill(root, target, version)
    to.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return len(made["components"])
