"""What is in the image, and that the same comes out each time."""

from __future__ import annotations

import datetime
import json
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from cryptography import x509

from task import Image

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
sys.path.insert(0, str(DEPLOY / "image"))

import sbom  # noqa: E402
import trust  # noqa: E402

TARGET = "x86_64-unknown-linux-gnu"


def test_it_is_one_small_layer(image: Image) -> None:
    (layer,) = image.layers()
    assert len(image.config["rootfs"]["diff_ids"]) == 1
    uncompressed = sum(path.stat().st_size for path in image.root.rglob("*") if path.is_file())
    print(f"image: {uncompressed / 1e6:.2f} MB, {layer.stat().st_size / 1e6:.2f} MB compressed")
    assert uncompressed <= 25_000_000


def test_it_holds_the_binary_and_whom_to_trust_and_nothing_else(image: Image) -> None:
    files = sorted(str(path.relative_to(image.root)) for path in image.root.rglob("*") if not path.is_dir())
    assert files == [
        "aidlc-auth",
        "etc/group",
        "etc/nsswitch.conf",
        "etc/passwd",
        "etc/ssl/certs/ca-certificates.crt",
        "etc/ssl/rds.pem",
    ]
    modes = {str(path.relative_to(image.root)): path.stat() for path in image.root.rglob("*")}
    for name, mode in modes.items():
        assert (mode.st_uid, mode.st_gid) == (0, 0), f"{name} is not root's, so the service could change it"
        assert not mode.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), name
    executables = [name for name in files if modes[name].st_mode & 0o111]
    assert executables == ["aidlc-auth"]


def test_the_binary_needs_no_library(image: Image) -> None:
    told = subprocess.run(["readelf", "--program-headers", "--dynamic", image.root / "aidlc-auth"], check=True, stdout=subprocess.PIPE, text=True)
    assert "INTERP" not in told.stdout and "NEEDED" not in told.stdout


def test_the_binary_names_no_folder_of_the_machine_that_built_it(image: Image) -> None:
    binary = (image.root / "aidlc-auth").read_bytes()
    cargo_home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    for folder in (str(ROOT), cargo_home):
        at = binary.find(folder.encode())
        assert at == -1, binary[max(0, at - 100) : at + 200]


def test_it_runs_as_nobody_in_particular_and_stops_by_sigterm(image: Image) -> None:
    config = image.config["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/aidlc-auth"] and not config.get("Cmd")
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["ExposedPorts"]) == ["8001/tcp"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == told_version(image)
    assert len(labels["org.opencontainers.image.revision"]) >= 7


def told_version(image: Image) -> str:
    told = subprocess.run([image.root / "aidlc-auth", "--version"], check=True, stdout=subprocess.PIPE, text=True)
    return told.stdout.split()[1]


def test_the_same_tree_gives_the_same_image(image: Image) -> None:
    ids = []
    for tag in ("aidlc-auth:boot-once", "aidlc-auth:boot-again"):
        command = [DEPLOY / "image" / "build", "--builder", "buildah", "--tag", tag]
        command += ["--binary", image.root / "aidlc-auth"]
        built = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ids.append(built.stdout.splitlines()[-1])
        subprocess.run(["buildah", "--storage-driver", "vfs", "rmi", tag], check=True, stdout=subprocess.DEVNULL)
    assert ids[0] == ids[1] and ids[0].startswith("sha256:")
    assert ids[0] == image.manifest["config"]["digest"], "the image under test is not that of this tree"


def test_both_dockerfiles_end_in_the_same_stage() -> None:
    mark = "# ── what runs ──\n"
    stages = [(DEPLOY / name).read_text().partition(mark) for name in ("Dockerfile", "Dockerfile.release")]
    assert stages[0][1] and stages[0][1:] == stages[1][1:]


def test_whom_the_image_trusts(image: Image) -> None:
    assert (image.root / "etc/ssl/rds.pem").read_text() == trust.rds_authorities()
    public = (image.root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert public == trust.public_authorities(ROOT)
    assert len(trust.certificates(public)) > 100


def test_every_authority_of_rds_is_as_pinned_and_valid() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    pins = trust.pins()
    regions = set()
    for der in trust.certificates(trust.RDS_BUNDLE.read_text()):
        certificate = x509.load_der_x509_certificate(der)
        (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        until, subject = pins[trust.fingerprint(der)]
        assert (f"{certificate.not_valid_after_utc:%Y-%m-%d}", name.value) == (until, subject)
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert certificate.issuer == certificate.subject, f"{subject} is not a root"
        left = certificate.not_valid_after_utc - now
        assert left.days > 0, f"{subject} has expired: deploy/image/renew-rds-ca"
        if left.days < 365:
            warnings.warn(f"{subject} expires on {until}: deploy/image/renew-rds-ca", stacklevel=1)
        regions.add(subject.split()[2])
    # Ours to begin with, and where most of our users are.
    assert {"us-east-1", "ap-northeast-2"} <= regions


@pytest.mark.parametrize("fault", ["a certificate more", "a certificate less"])
def test_a_bundle_that_is_not_the_pinned_one_builds_no_image(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "rds-ca.pem"
    certificates = trust.certificates(trust.RDS_BUNDLE.read_text())
    changed = certificates[1:] if fault == "a certificate less" else [*certificates, trust.certificates(trust.public_authorities(ROOT))[0]]
    bundle.write_text("".join(map(trust.armoured, changed)))
    monkeypatch.setattr(trust, "RDS_BUNDLE", bundle)
    with pytest.raises(SystemExit, match="differ"):
        trust.rds_authorities()


def test_the_bill_of_materials_names_what_is_in_the_binary() -> None:
    bill = json.loads((ROOT / "target" / "image" / "sbom.json").read_text())
    crates = {(each["name"], each["version"]) for each in bill["components"] if each.get("purl", "").startswith("pkg:cargo/")}
    assert crates == set(sbom.in_the_binary(ROOT, TARGET))
    names = {name for name, _ in crates}
    assert {"tokio", "rustls", "aws-lc-sys", "libsqlite3-sys"} <= names
    # A macro, a build script's library, and one of the tests.
    assert not {"serde_derive", "cc", "insta"} & names
    others = {each["name"] for each in bill["components"]} - names
    assert others == {"glibc", "@scalar/api-reference", "rds-ca.pem"}
    for each in bill["components"]:
        assert each["version"] if each["type"] == "library" else each["hashes"], each
        assert each.get("licenses") or each["type"] == "data", each


def test_the_bill_of_materials_is_cyclonedx() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (ROOT / "target" / "image" / "sbom.json").read_text()
    found = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    assert found is None, found
