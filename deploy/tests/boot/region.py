"""A region of AWS for the tests: eight stacks on the stand-in, and servers where the stacks say they are.

Tasks get exactly the environment that their task definition renders to, and two things more, for there is no
way to be certified by Amazon: the servers' authority lies over the image's /etc/ssl/rds.pem, and
REDIS_CA_FILE and AWS_CA_BUNDLE name that file.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from account import Account, Definition
from people import Person
from servers import Authority, Balancer, Postgres, RoleCredentials, Server, endpoint, redis
from stacks import Stacks
from task import Image, Size, Task
from vpc import INTERNET, Vpc

RDS_BUNDLE = "/etc/ssl/rds.pem"
TRUST = {"REDIS_CA_FILE": RDS_BUNDLE, "AWS_CA_BUNDLE": RDS_BUNDLE}


class Region:
    """Everything that is there, and the tasks that run in it."""

    def __init__(self, folder: Path, image: Image) -> None:
        self.folder, self.image = folder, image
        self.tasks: list[Task] = []
        self.servers: list[Server] = []
        self.people: dict[str, Person] = {}
        self.arguments = Arguments()

    def open(self) -> None:
        self.arguments.start()
        self.stacks = Stacks(self.folder / "stacks", "staging")
        self.account: Account = self.stacks.up("boot-first")
        self.definition = self.account.definition(self.stacks.task_definition())
        self.check = self.account.health_check()
        self.port = self.definition.container["portMappings"][0]["containerPort"]

        plain = self.definition.plain()
        database = host_of(plain["DATABASE_URL"])
        cache, balancer = host_of(plain["REDIS_URL"]), host_of(plain["PUBLIC_URL"])
        secrets_manager = f"secretsmanager.{self.account.region}.amazonaws.com"
        self.vpc = Vpc(self.stacks.parameters["VpcCidr"])
        self.authority = Authority(self.folder / "authority")
        self.database_secret = plain["DATABASE_SECRET_ARN"]
        self.passwords = [self.account.secret(f"{self.database_secret}:password::")]
        self.database = Postgres(
            self.vpc.host(database), database, self.passwords[0], "aidlc_auth", self.authority, self.folder / "postgres"
        )
        self.servers.append(self.database)
        token = self.definition.secret()["REDIS_PASSWORD"]
        self.servers.append(redis(self.vpc.host(cache), cache, token, self.authority, self.folder / "redis"))
        self.servers.append(endpoint(
            self.vpc.host(secrets_manager), secrets_manager, self.stacks.address, self.authority, self.folder / "endpoint"
        ))
        self.credentials = RoleCredentials()
        self.credentials.start()
        self.balancer = Balancer(self.vpc.host(balancer), self.folder / "balancer")
        self.servers.append(self.balancer.server)

    # ── tasks ──

    def begin(self, name: str, definition: Definition, size: Size | None = None) -> Task:
        """Starts a task of the service."""
        return self._start(name, size or definition.size, [], definition.environment())

    def run(self, name: str, command: list[str], environment: dict[str, str] | None = None, within: float = 60) -> Task:
        """Runs a task to its end, as `aws ecs run-task` with this command does."""
        task = self._start(name, self.definition.size, command, environment or self.definition.environment())
        task.wait(within)
        return task

    def _start(self, name: str, size: Size, command: list[str], environment: dict[str, str]) -> Task:
        task = Task.start(
            self.image, name, size, {**environment, **TRUST}, self.vpc, self.folder / "tasks" / name,
            command, {RDS_BUNDLE: self.authority.file},
        )
        self.tasks.append(task)
        return task

    def until_ready(self, task: Task) -> float:
        """How long after its start a task says that it is ready."""
        while not self.is_healthy(task):
            assert not task.has_ended() and time.monotonic() - task.began < 60, task.log()
            time.sleep(0.01)
        return time.monotonic() - task.began

    def until_healthy(self, task: Task) -> float:
        """How long after its start the target group takes a task for healthy."""
        healthy = 0
        while healthy < self.check["HealthyThresholdCount"]:
            assert not task.has_ended() and time.monotonic() - task.began < 120, task.log()
            time.sleep(self.check["HealthCheckIntervalSeconds"])
            healthy = healthy + 1 if self.is_healthy(task) else 0
        return time.monotonic() - task.began

    def is_healthy(self, task: Task) -> bool:
        url = f"http://{task.address}:{self.port}{self.check['HealthCheckPath']}"
        try:
            with urllib.request.urlopen(url, timeout=self.check["HealthCheckTimeoutSeconds"]) as answer:
                return str(answer.status) == self.check["Matcher"]["HttpCode"]
        except (urllib.error.URLError, OSError):
            return False

    def serve_by(self, task: Task) -> None:
        """Sends what comes from now on to this task."""
        self.current = task
        self.balancer.route_to([f"{task.address}:{self.port}"])

    def revise(self) -> Definition:
        """The next revision of the task definition, as another image tag makes it."""
        return self.account.definition(self.stacks.release("boot-second"))

    def rotate_database_password(self) -> None:
        """As RDS does: another password in the database and in its secret; open connections end."""
        # With everything in it that a URL or a shell would trip over.
        password = f"{secrets.token_urlsafe(24)}@:/?#%&'\" "
        self.passwords.append(password)
        client = self.account.client("secretsmanager")
        secret = json.loads(client.get_secret_value(SecretId=self.database_secret)["SecretString"])
        quoted = password.replace("'", "''")
        self.database.sql(f"ALTER USER postgres PASSWORD '{quoted}'")
        client.put_secret_value(
            SecretId=self.database_secret, SecretString=json.dumps({**secret, "password": password})
        )
        self.database.password = password
        self.database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'aidlc_auth'")

    # ── people ──

    def person(self, name: str, at: int) -> Person:
        """Someone with an address of their own out there."""
        if name not in self.people:
            self.people[name] = Person(name, str(INTERNET[at]), self.balancer.address, self.logs)
        return self.people[name]

    def logs(self) -> str:
        """What the log group holds."""
        return "".join(task.log() for task in self.tasks)

    def complaints(self) -> str:
        """The newest warnings and errors in the log group, for whoever looks into a failure."""
        lines = [line for line in self.logs().splitlines() if '"WARN"' in line or '"ERROR"' in line]
        return "\n".join(lines[-20:])

    def audit(self) -> list[dict]:
        return [json.loads(line) for line in self.logs().splitlines() if '"aidlc_auth::audit"' in line]

    # ── what is left behind ──

    def everything_written(self) -> dict[str, bytes]:
        """Every place where a secret must not be, by what it is."""
        places = self.stacks.everything_told(self.account)
        places |= {f"log: {task.name}": task.log_path.read_bytes() for task in self.tasks}
        places |= {f"log: {path.relative_to(self.folder)}": path.read_bytes() for path in self.folder.rglob("*.log")}
        places["arguments: of every process during the tests"] = b"\n".join(self.arguments.seen)
        places |= {f"image: {path.name}": path.read_bytes() for path in self.image.root.rglob("*") if path.is_file()}
        places["image: configuration"] = json.dumps(self.image.config).encode()
        return places

    def close(self) -> None:
        for task in self.tasks:
            if not task.has_ended():
                task.stop(10)
        for server in reversed(self.servers):
            server.stop()
        if hasattr(self, "stacks"):
            self.stacks.stop()


class Arguments(threading.Thread):
    """Keeps the arguments of every process that it sees: anyone on a machine may read those."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()

    def run(self) -> None:
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes().replace(b"\0", b" "))
                except OSError:
                    # It has ended meanwhile.
                    continue
            time.sleep(0.1)


def host_of(url: str) -> str:
    return re.match(r"[a-z]+://([^:/?]+)", url)[1]
