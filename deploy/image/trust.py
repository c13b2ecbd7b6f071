"""Whom the image trusts: the public authorities, and Amazon RDS's own.

Neither is fetched at build time. The public ones come from the source of the crate webpki-roots, which
Cargo.lock pins and which is compiled into the binary too, so that file and binary cannot disagree. RDS's
are committed beside this file, each certificate pinned by its fingerprint.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
RDS_BUNDLE = HERE / "rds-ca.pem"
RDS_PINS = HERE / "rds-ca.sha256"

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", re.DOTALL)


def public_authorities(root: Path) -> str:
    """Mozilla's authorities as PEM, out of the comments of webpki-roots, each held to its fingerprint."""
    source = _crate(root, "webpki-roots") / "src" / "lib.rs"
    pem = []
    for comment in re.findall(r"/\*(.*?)\*/", source.read_text(), re.DOTALL):
        text = re.sub(r"^\s*\* ?", "", comment, flags=re.MULTILINE)
        found = CERTIFICATE.search(text)
        if not found:
            continue
        der = base64.b64decode(found[1])
        told = re.search(r"SHA256 Fingerprint: ([0-9a-f:]+)", text)
        label = re.search(r'Label: "(.*)"', text)
        if not told or not label or fingerprint(der) != told[1].replace(":", ""):
            raise SystemExit(f"{source}: a certificate is not the one that its comment describes:\n{text[:300]}")
        pem.append(f"# {label[1]}\n{armoured(der)}")
    if len(pem) < 50:
        raise SystemExit(f"{source}: only {len(pem)} authorities found; has its form changed?")
    return "\n".join(pem)


def rds_authorities() -> str:
    """The committed bundle, if it holds exactly the certificates that are pinned."""
    bundle = RDS_BUNDLE.read_text()
    found, pinned = {fingerprint(der) for der in certificates(bundle)}, set(pins())
    if found != pinned:
        raise SystemExit(
            f"{RDS_BUNDLE.name} and {RDS_PINS.name} differ: "
            f"not pinned {sorted(found - pinned)}, missing {sorted(pinned - found)}"
        )
    return bundle


def pins() -> dict[str, tuple[str, str]]:
    """By fingerprint: until when it is valid (YYYY-MM-DD), and its subject."""
    lines = [line.split(None, 2) for line in RDS_PINS.read_text().splitlines() if not line.startswith("#")]
    return {sha256: (until, subject) for sha256, until, subject in lines}


def certificates(pem: str) -> list[bytes]:
    """Every certificate of a PEM text, as DER."""
    return [base64.b64decode(body) for body in CERTIFICATE.findall(pem)]


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def armoured(der: bytes) -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def _crate(root: Path, name: str) -> Path:
    """Where cargo keeps the source of a crate, in the version of the lock file."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    return next(Path(package["manifest_path"]).parent for package in metadata["packages"] if package["name"] == name)
