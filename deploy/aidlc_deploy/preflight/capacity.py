"""22, 25, 27: the tasks fit the database, the hashes fit the tasks, and deployments leave scaling alone."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, failed, warning
from .plan import Container, Plan, Resource
from .service_defaults import default

# An idle service with room to spare, and what one password hash takes (docs/threat-model.md).
SERVICE_MIB, HASH_MIB = 128, 19

# RDS's formula is LEAST(DBInstanceClassMemory / 9531392, 5000), and that memory is what the system leaves
# of the class's nominal one: about seven tenths of the small ones.
BYTES_PER_CONNECTION, USABLE_MEMORY, CONNECTIONS_MAX = 9_531_392, 0.7, 5000
# superuser_reserved_connections, and what RDS keeps for its own agents.
RESERVED_CONNECTIONS = 5
# For a migration, and whoever looks into the database by hand.
CONNECTIONS_BESIDE_POOLS = 3
GIB_BY_SIZE = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32, "4xlarge": 64}


def connections(plan: Plan) -> Iterator[Finding]:
    """22: at a deployment old and new tasks hold their pools at once."""
    for database in plan.all("AWS::RDS::DBInstance"):
        room = connections_of(plan, database)
        if room is None:
            kind = database.properties.get("DBInstanceClass")
            yield warning(
                "too_many_connections", f"{database.place}: how many connections {kind} has is not known here"
            )
            continue
        for service in plan.all("AWS::ECS::Service"):
            for container in plan.containers_of(service):
                yield from too_many(plan, service, container, room)


def too_many(plan: Plan, service: Resource, container: Container, room: int) -> Iterator[Finding]:
    pool = container.number("DATABASE_POOL_SIZE", default("DATABASE_POOL_SIZE"))
    percent = int((service.properties.get("DeploymentConfiguration") or {}).get("MaximumPercent", 200))
    tasks = tasks_max(plan, service) * percent // 100
    needed = pool * tasks + CONNECTIONS_BESIDE_POOLS
    if needed > room:
        yield failed(
            "too_many_connections",
            f"{container.place}: {pool} connections × {tasks} tasks during a deployment + {CONNECTIONS_BESIDE_POOLS}"
            f" = {needed}, and the database has about {room}",
        )


def tasks_max(plan: Plan, service: Resource) -> int:
    targets = plan.all("AWS::ApplicationAutoScaling::ScalableTarget")
    counts = [int(target.properties["MaxCapacity"]) for target in targets]
    return max([*counts, int(service.properties.get("DesiredCount", 1))])


def connections_of(plan: Plan, database: Resource) -> int | None:
    """How many connections a database has for us; None if its class is not known here."""
    group = plan.resource(plan.text(database.properties.get("DBParameterGroupName"), database.template))
    chosen = str(((group and group.properties.get("Parameters")) or {}).get("max_connections", ""))
    if chosen.isdigit():
        return int(chosen) - RESERVED_CONNECTIONS
    family, _, size = str(database.properties.get("DBInstanceClass")).rpartition(".")
    if size not in GIB_BY_SIZE:
        return None
    # Memory-optimised classes have twice as much.
    gib = GIB_BY_SIZE[size] * (2 if family.startswith(("db.r", "db.x")) else 1)
    return min(int(gib * 2**30 * USABLE_MEMORY / BYTES_PER_CONNECTION), CONNECTIONS_MAX) - RESERVED_CONNECTIONS


def memory(plan: Plan) -> Iterator[Finding]:
    """25: every hash that runs at once fits beside the service."""
    for container in plan.containers():
        task = container.task.properties
        threads = container.number("PASSWORD_HASH_THREADS", default("PASSWORD_HASH_THREADS"))
        # 0 is half the cores, at least one.
        threads = threads or max(1, int(task.get("Cpu", 256)) // 1024 // 2)
        needed = SERVICE_MIB + HASH_MIB * threads
        given = int(container.definition.get("Memory") or task.get("Memory") or 0)
        if needed > given:
            yield failed(
                "out_of_memory",
                f"{container.place}: {threads} hashes at once × {HASH_MIB} MiB + {SERVICE_MIB} MiB = {needed} MiB,"
                f" and the task has {given} MiB",
            )


def desired_count(plan: Plan) -> Iterator[Finding]:
    """27: whoever scales is the only one to say how many tasks there are."""
    if plan.all("AWS::ApplicationAutoScaling::ScalableTarget"):
        for service in plan.all("AWS::ECS::Service"):
            if "DesiredCount" in service.properties:
                count = service.properties["DesiredCount"]
                yield failed("desired_count", f"{service.place}: DesiredCount {count} beside a scalable target")
