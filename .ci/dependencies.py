#!/usr/bin/env python3
"""Which crates may be in the tree: by name, by licence, by where they come from.

Reads what cargo knows, so that nothing has to be installed or built for it.
"""

import re
import subprocess
import sys

# One TLS and one cryptography library: aws-lc-rs. Linking the system's OpenSSL would end the static binary.
BANNED = {"ring", "openssl", "openssl-sys", "native-tls"}

# Permissive ones. An expression passes if it can be met by these.
LICENCES = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0",
    "Unlicense", "Zlib",
}


def may_be_used(expression: str) -> bool:
    """Whether an SPDX expression can be met: `A OR (B AND C)`; some crates still write `A/B`."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    words = {"OR": "or", "AND": "and", "(": "(", ")": ")"}
    python, licence = [], []

    def name_ends() -> None:
        if licence:
            python.append(str(" ".join(licence) in LICENCES))
            licence.clear()

    for token in tokens:
        if token in words:
            name_ends()
            python.append(words[token])
        else:
            licence.append(token)
    name_ends()
    # Only True, False, and, or and parentheses are left.
    return bool(eval(" ".join(python), {"__builtins__": {}}))


def faults(crates: list) -> list:
    """What is wrong with the crates, each `name version [(source)]` and its licence."""
    found = []
    for crate, licence in crates:
        name = crate.split()[0]
        if name in BANNED:
            found.append(f"{crate} is banned; find what brings it in with: cargo tree -i {name}")
        # Cargo names the source of everything that is not from the registry.
        if "(" in crate.replace("(proc-macro)", ""):
            found.append(f"{crate} is not from the crates registry")
        if not may_be_used(licence or "none"):
            found.append(f"{crate} has the licence {licence!r}, which is not on the list")
    return found


def check_the_check() -> None:
    """A check that finds nothing is worth as much as it would find."""
    planted = [
        ("ring v1.0.0", "MIT"),
        ("a v1.0.0 (https://example.org/a.git#0123abcd)", "MIT"),
        ("b v1.0.0", "MIT AND GPL-3.0-only"),
        ("c v1.0.0", ""),
    ]
    assert len(faults(planted)) == len(planted), faults(planted)
    assert not faults([("d-derive v1.0.0 (proc-macro)", "MIT OR GPL-3.0-only")])
    assert may_be_used("GPL-3.0 OR (MIT AND ISC)") and may_be_used("MIT/Apache-2.0")


def main() -> int:
    check_the_check()
    # What is really built, on any platform: the lock file also names optional crates that nobody uses.
    command = ["cargo", "tree", "--locked", "--edges", "normal,build,dev", "--target", "all", "--prefix", "none"]
    command += ["--no-dedupe", "--format", "{p}\t{l}"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    own, crates = lines[0], sorted({tuple(line.split("\t")) for line in lines if "\t" in line})
    crates = [crate for crate in crates if crate != tuple(own.split("\t"))]
    found = faults(crates)
    print("\n".join(found) or f"{len(crates)} crates, none banned, each licensed and from the registry")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
