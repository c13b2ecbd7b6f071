"""A network as in AWS: every task has its own interface and address, and the resolver knows the names.

All of it lives in the network namespace that `deploy/boot` made for this process: nothing listens where
the machine's other programs could see it, and nothing is left when the process ends.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import subprocess
import threading

BRIDGE = "vpc"
# Where ECS hands out the credentials of a task's role.
CREDENTIALS = "169.254.170.2"
# Clients out there; each address of it may be taken by a socket of ours.
INTERNET = ipaddress.ip_network("203.0.113.0/24")


def enter() -> None:
    """Makes sure that the network here is ours alone, and that programs here can reach each other."""
    others = sorted({name for _, name in socket.if_nameindex()} - {"lo"})
    assert not others, f"this would change the machine's own network ({', '.join(others)}): run deploy/boot"
    ip("link", "set", "lo", "up")


class Vpc:
    """The network, with a resolver at the address that AWS gives it."""

    def __init__(self, cidr: str) -> None:
        self.network = ipaddress.ip_network(cidr)
        self.names: dict[str, str] = {}
        self._given = iter(range(256, self.network.num_addresses))
        # With an address of its own: else it takes a port's, and another when that port's task ends, and who
        # has looked it up before speaks to nobody for seconds.
        ip("link", "add", BRIDGE, "address", "02:00:00:00:00:01", "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        self.resolver = self._here(self.network[2])
        self._here(ipaddress.ip_address(CREDENTIALS), prefix=32)
        # The whole network of clients is ours to speak from.
        ip("addr", "add", str(INTERNET), "dev", "lo")
        Resolver(self.resolver, self.names).start()

    def host(self, *names: str) -> str:
        """An address of the network for a server of ours, with the names that lead to it."""
        address = self._here(self.address())
        for name in names:
            self.names[name.lower()] = address
        return address

    def address(self) -> ipaddress.IPv4Address:
        """An address that nobody has yet."""
        return self.network[next(self._given)]

    def attach(self, pid: int, address: str) -> None:
        """Gives the network namespace of a process an interface with this address."""
        outside = f"task{pid}"
        ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        ip("link", "set", outside, "master", BRIDGE, "up")
        inside = ["nsenter", "--net", "--target", str(pid), "ip"]
        for command in (
            ["link", "set", "lo", "up"],
            ["addr", "add", f"{address}/{self.network.prefixlen}", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["route", "add", CREDENTIALS, "dev", "eth0"],
        ):
            subprocess.run([*inside, *command], check=True)

    def _here(self, address: ipaddress.IPv4Address, prefix: int | None = None) -> str:
        ip("addr", "add", f"{address}/{prefix or self.network.prefixlen}", "dev", BRIDGE)
        return str(address)


class Resolver(threading.Thread):
    """Answers questions for A records out of a dictionary; to every other name: there is none."""

    def __init__(self, address: str, names: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.names = names
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))

    def run(self) -> None:
        while True:
            query, sender = self.socket.recvfrom(1500)
            self.socket.sendto(self.answer(query), sender)

    def answer(self, query: bytes) -> bytes:
        """RFC 1035: the header and question as asked, and at most one record."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        question = query[12 : at + 5]
        (kind,) = struct.unpack_from(">H", query, at + 1)
        address = self.names.get(".".join(labels))
        is_answered = address is not None and kind == 1
        # A name without such a record is no error; a name that is not there is one (3).
        flags = 0x8180 | (0 if address else 3)
        header = query[:2] + struct.pack(">HHHHH", flags, 1, int(is_answered), 0, 0)
        if not is_answered:
            return header + question
        # The name is that of the question (a pointer to byte 12), class IN, for one second.
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
        return header + question + record


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
