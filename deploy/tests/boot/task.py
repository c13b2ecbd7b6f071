"""A task as Fargate runs it, under runc: its share of a processor and of memory, and nothing of root's.

Also the image that it runs, unpacked.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from vpc import Vpc

STORAGE = ["--storage-driver", "vfs"]
CGROUPS = Path("/sys/fs/cgroup")
CGROUP = "aidlc-auth-boot"
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Image:
    """An image that `deploy/image/build` made: as OCI lays it out, and unpacked for runc."""

    layout: Path
    bundle: Path
    manifest: dict
    config: dict

    @classmethod
    def unpacked(cls, tag: str, folder: Path) -> Image:
        folder.mkdir()
        layout, bundle = folder / "layout", folder / "bundle"
        run("buildah", *STORAGE, "push", "--quiet", tag, f"oci:{layout}:image")
        run("umoci", "unpack", "--image", f"{layout}:image", str(bundle))
        index = json.loads((layout / "index.json").read_text())
        manifest = json.loads(blob(layout, index["manifests"][0]["digest"]).read_text())
        config = json.loads(blob(layout, manifest["config"]["digest"]).read_text())
        return cls(layout, bundle, manifest, config)

    def layers(self) -> list[Path]:
        return [blob(self.layout, layer["digest"]) for layer in self.manifest["layers"]]

    @property
    def root(self) -> Path:
        return self.bundle / "rootfs"


@dataclass
class Size:
    """What the task definition asks for, in its units."""

    cpu: int
    memory_mib: int


@dataclass
class Task:
    """One running copy."""

    name: str
    address: str
    log_path: Path
    pid: int
    began: float
    exit_code: int | None = None
    counters: dict[str, int] = field(default_factory=dict)

    @classmethod
    def start(
        cls, image: Image, name: str, size: Size, environment: dict[str, str], vpc: Vpc, folder: Path,
        command: list[str] = (), mounts: dict[str, Path] = {},
    ) -> Task:
        """Starts the image's entry point, with `command` behind it, as ECS does."""
        # Whoever dies below runc becomes a child of ours, and tells us how it ended.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        folder.mkdir(parents=True)
        address = str(vpc.address())
        mounts = {**mounts, **name_files(address, vpc, folder)}
        bundle = folder / "bundle"
        bundle.mkdir()
        config = confined(json.loads((image.bundle / "config.json").read_text()), image, name, size)
        config["process"]["env"] += [f"{key}={value}" for key, value in environment.items()]
        config["process"]["args"] += command
        config["mounts"] += [
            {"destination": inside, "type": "bind", "source": str(outside), "options": ["rbind", "ro"]}
            for inside, outside in mounts.items()
        ]
        (bundle / "config.json").write_text(json.dumps(config))
        log_path, pid_file = folder / "log", folder / "pid"
        began = time.monotonic()
        with log_path.open("wb") as log:
            create = ["runc", "create", "--bundle", str(bundle), "--pid-file", str(pid_file), container_id(name)]
            subprocess.run(create, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        pid = int(pid_file.read_text())
        vpc.attach(pid, address)
        run("runc", "start", container_id(name))
        return cls(name, address, log_path, pid, began)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def status(self) -> str:
        """What the kernel says of its first process."""
        return Path(f"/proc/{self.pid}/status").read_text()

    def root_is_read_only(self) -> bool:
        mounts = [line.split() for line in Path(f"/proc/{self.pid}/mounts").read_text().splitlines()]
        return next("ro" in options.split(",") for _, place, _, options, *_ in mounts if place == "/")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it has; if so, `exit_code` says how: 128 + n if signal n killed it."""
        if self.exit_code is None:
            self.counters = counters(self.name) or self.counters
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.exit_code = code if code >= 0 else 128 - code
                self.counters = counters(self.name) or self.counters
                run("runc", "delete", "--force", container_id(self.name))
        return self.exit_code is not None

    def wait(self, within: float) -> int:
        """Its exit status; one that outstays its time is killed, which is 137."""
        deadline = time.monotonic() + within
        while not self.has_ended():
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                deadline += 10
            time.sleep(0.02)
        return self.exit_code

    def stop(self, stop_timeout: float) -> int:
        """As ECS stops a task: SIGTERM, and SIGKILL when StopTimeout is over."""
        self.signal(signal.SIGTERM)
        return self.wait(stop_timeout)


def confined(config: dict, image: Image, name: str, size: Size) -> dict:
    """umoci's runtime configuration of an image, held as tight as Fargate and the task definition hold it."""
    process = config["process"]
    process.update(terminal=False, noNewPrivileges=True)
    # Fargate sets its own limits; lowering them here needs a capability that a CI machine may lack.
    process.pop("rlimits", None)
    process["capabilities"] = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
    config["root"] = {"path": str(image.root), "readonly": True}
    config["hostname"] = name
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] in ("/proc", "/dev", "/dev/shm")]
    linux = config["linux"]
    linux["namespaces"] = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]
    linux.pop("seccomp", None)
    period = 100_000
    linux["resources"] = {
        # 1024 units are one processor.
        "cpu": {"quota": size.cpu * period // 1024, "period": period},
        "memory": {"limit": size.memory_mib << 20},
    }
    linux["cgroupsPath"] = f"/{CGROUP}/{name}"
    return config


def name_files(address: str, vpc: Vpc, folder: Path) -> dict[str, Path]:
    """The files by which names are looked up, as ECS mounts them."""
    dashed = str(ipaddress.ip_address(address)).replace(".", "-")
    texts = {
        "/etc/hosts": f"127.0.0.1 localhost\n{address} ip-{dashed}.ec2.internal\n",
        "/etc/resolv.conf": f"nameserver {vpc.resolver}\n",
    }
    files = {}
    for inside, text in texts.items():
        files[inside] = folder / Path(inside).name
        files[inside].write_text(text)
    return files


def counters(name: str) -> dict[str, int]:
    """What the kernel counted for a container: on cgroups of either version."""
    if (CGROUPS / "cgroup.controllers").exists():
        folder = {kind: CGROUPS / CGROUP / name for kind in ("cpu", "memory")}
        peak_file = "memory.peak"
    else:
        folder = {kind: CGROUPS / kind / CGROUP / name for kind in ("cpu", "memory")}
        peak_file = "memory.max_usage_in_bytes"
    try:
        cpu = dict(line.split() for line in (folder["cpu"] / "cpu.stat").read_text().splitlines())
        return {
            "throttled": int(cpu["nr_throttled"]),
            "memory_peak": int((folder["memory"] / peak_file).read_text()),
        }
    except FileNotFoundError:
        # It was never made, or is gone with its container.
        return {}


def container_id(name: str) -> str:
    return f"{CGROUP}-{name}"


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cleared() -> None:
    """Ends and removes what tasks of this run left, or of an earlier one that was killed."""
    for line in run("runc", "list", "--quiet").split():
        if line.startswith(f"{CGROUP}-"):
            run("runc", "delete", "--force", line)
    # runc removes the group of a container, not the one around them.
    for group in [CGROUPS / CGROUP, *CGROUPS.glob(f"*/{CGROUP}")]:
        if group.is_dir():
            group.rmdir()
