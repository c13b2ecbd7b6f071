"""What AWS gives the tasks: the database, the cache, the balancer, Secrets Manager and a role's credentials.

PostgreSQL takes encrypted connections only, as RDS with rds.force_ssl; Redis is TLS and AUTH only, as
ElastiCache; nginx stands for the ALB. Each is ended by its process id.
"""

from __future__ import annotations

import datetime
import http.server
import json
import os
import pwd
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import vpc as network

POSTGRES_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]


class Authority:
    """Signs the certificates of the servers here, in place of Amazon's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority of the boot test")])
        own = self._certificate(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.file = folder / "ca.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def certify(self, host: str, owner: str = "root") -> tuple[Path, Path]:
        """A certificate for a host and its key, as files that only `owner` may read."""
        key = ec.generate_private_key(ec.SECP256R1())
        # A common name ends at 64 characters, which a host of RDS outgrows; names are in the extension.
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host[:64])])
        certificate = self._certificate(
            subject, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(host)])
        )
        encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
        texts = {
            "pem": certificate.public_bytes(encoding),
            "key": key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password),
        }
        files = []
        for suffix, text in texts.items():
            path = self.folder / f"{host}.{suffix}"
            path.write_bytes(text)
            path.chmod(0o600)
            os.chown(path, *ids(owner))
            files.append(path)
        return files[0], files[1]

    def _certificate(self, subject: x509.Name, key, extension: x509.ExtensionType) -> x509.Certificate:
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number(), now - day, now + day)
        return builder.add_extension(extension, critical=False).sign(self.key, hashes.SHA256())


class Server:
    """A process of ours that listens, with its output in a file."""

    def __init__(self, name: str, folder: Path, command: list[str], listens: tuple[str, int], user: str = "root") -> None:
        self.name, self.listens = name, listens
        self.log_path = folder / f"{name}.log"
        uid, gid = ids(user)
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                user=uid, group=gid, extra_groups=[], start_new_session=True,
            )
        until_open(listens, self.process, self.log_path)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Postgres(Server):
    """PostgreSQL as RDS hands it over: its master user, an empty database, and no way in without TLS."""

    def __init__(self, address: str, host: str, password: str, database: str, authority: Authority, folder: Path) -> None:
        self.address, self.host, self.password, self.authority = address, host, password, authority
        folder.mkdir(mode=0o700)
        os.chown(folder, *ids("postgres"))
        certificate, key = authority.certify(host, owner="postgres")
        data, password_file = folder / "data", folder / "password"
        password_file.write_text(password)
        os.chown(password_file, *ids("postgres"))
        initdb = [str(POSTGRES_BINARIES / "initdb"), "--pgdata", str(data), "--username=postgres", "--encoding=UTF8"]
        initdb += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        as_postgres = {"user": "postgres", "group": "postgres", "extra_groups": []}
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_postgres)
        password_file.unlink()
        (data / "pg_hba.conf").write_text("hostssl all all 0.0.0.0/0 scram-sha-256\n")
        settings = {
            "listen_addresses": address,
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": certificate,
            "ssl_key_file": key,
            "log_connections": "on",
            # About what RDS gives its smallest class.
            "max_connections": "80",
        }
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        command = [str(POSTGRES_BINARIES / "postgres"), "-D", str(data)]
        super().__init__("postgres", folder, command, (address, 5432), user="postgres")
        # RDS makes the database that the template names.
        self.sql(f"CREATE DATABASE {database}")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What the database answers to its master user. Neither statement nor password is an argument of a process."""
        # This machine's resolver has never heard of the host, so its address is told too.
        place = f"host={self.host} hostaddr={self.address} dbname={database} user=postgres"
        place += f" sslmode=verify-full sslrootcert={self.authority.file}"
        command = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname", place]
        environment = {**os.environ, "PGPASSWORD": self.password}
        done = subprocess.run(command, env=environment, input=statement, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def redis(address: str, host: str, password: str, authority: Authority, folder: Path) -> Server:
    """Redis as ElastiCache hands it over: TLS, AUTH, nothing thrown away, and no command to look into its settings."""
    folder.mkdir(mode=0o700)
    certificate, key = authority.certify(host)
    config = folder / "redis.conf"
    config.write_text(
        f"bind {address}\nport 0\ntls-port 6379\ntls-cert-file {certificate}\ntls-key-file {key}\n"
        f"tls-ca-cert-file {authority.file}\ntls-auth-clients no\nrequirepass {password}\n"
        f'maxmemory-policy noeviction\nrename-command CONFIG ""\nsave ""\ndir {folder}\n'
    )
    return Server("redis", folder, ["redis-server", str(config)], (address, 6379))


class Balancer:
    """nginx as the ALB: keep-alive both ways, `X-Forwarded-For`, and no second try of a request."""

    def __init__(self, address: str, folder: Path) -> None:
        folder.mkdir()
        self.address, self.folder = address, folder
        self.config, self.access_log = folder / "nginx.conf", folder / "access.log"
        self.write([])
        command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(self.config)]
        self.server = Server("nginx", folder, command, (address, 80))

    def route_to(self, targets: list[str]) -> None:
        """Sends what comes from now on to these; what is under way ends where it is."""
        self.write(targets)
        before = self.retired_workers()
        self.server.process.send_signal(signal.SIGHUP)
        # Until the old worker accepts nothing more, it may send a new request to the old targets.
        deadline = time.monotonic() + 10
        while self.retired_workers() == before:
            assert time.monotonic() < deadline, (self.folder / "error.log").read_text()
            time.sleep(0.02)

    def retired_workers(self) -> int:
        return (self.folder / "error.log").read_text().count("gracefully shutting down")

    def write(self, targets: list[str]) -> None:
        # An ALB without targets answers 503 itself.
        if targets:
            servers = " ".join(f"server {target} max_fails=0;" for target in targets)
            # The ALB keeps connections to targets for its idle time-out, 60 seconds.
            upstream = f"upstream targets {{ {servers} keepalive 64; keepalive_timeout 60s; keepalive_requests 100000; }}"
            to_targets = """
                proxy_pass http://targets;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Proto http;
                proxy_next_upstream off;"""
        else:
            upstream, to_targets = "", "return 503;"
        self.config.write_text(f"""
            daemon off;
            worker_processes 1;
            pid {self.folder}/pid;
            error_log {self.folder}/error.log notice;
            events {{ worker_connections 4096; }}
            http {{
                log_format told '$remote_addr $request_method $uri $status $upstream_addr $upstream_status $request_time';
                access_log {self.access_log} told;
                keepalive_timeout 60s;
                keepalive_requests 100000;
                {upstream}
                server {{
                    listen {self.address}:80 backlog=1024;
                    location / {{ {to_targets} }}
                }}
            }}""")

    def statuses(self) -> list[int]:
        """Of everything answered so far."""
        return [int(line.split()[3]) for line in self.access_log.read_text().splitlines()]


def endpoint(address: str, host: str, target: tuple[str, int], authority: Authority, folder: Path) -> Server:
    """Secrets Manager's endpoint inside the network, with TLS; behind it, the stand-in for AWS."""
    folder.mkdir()
    certificate, key = authority.certify(host)
    config = folder / "nginx.conf"
    config.write_text(f"""
        daemon off;
        worker_processes 1;
        pid {folder}/pid;
        error_log {folder}/error.log;
        events {{ }}
        http {{
            access_log {folder}/access.log;
            server {{
                listen {address}:443 ssl;
                ssl_certificate {certificate};
                ssl_certificate_key {key};
                location / {{ proxy_pass http://{target[0]}:{target[1]}; proxy_set_header Host $http_host; }}
            }}
        }}""")
    command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    return Server("endpoint", folder, command, (address, 443))


class RoleCredentials(threading.Thread):
    """Hands out a task role's credentials, as ECS's agent does."""

    PATH = "/v2/credentials/boot"

    def __init__(self) -> None:
        super().__init__(daemon=True)
        thread = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                thread.asked += self.path == RoleCredentials.PATH
                until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
                body = json.dumps({
                    "AccessKeyId": "ASIABOOTBOOTBOOTBOOT", "SecretAccessKey": "boot", "Token": "boot",
                    "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "RoleArn": "boot",
                }).encode()
                self.send_response(200 if self.path == RoleCredentials.PATH else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.asked = 0
        self.server = http.server.ThreadingHTTPServer((network.CREDENTIALS, 80), Answer)

    def run(self) -> None:
        self.server.serve_forever()


def until_open(address: tuple[str, int], process: subprocess.Popen, log: Path, within: float = 20) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            socket.create_connection(address, 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"nobody listens on {address}:\n{log.read_text()}") from None
            time.sleep(0.05)


def ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid
