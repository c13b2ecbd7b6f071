"""All stacks of both environments, made on the stand-in by the command's own code and the real aws CLI."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aidlc_deploy import up
from aidlc_deploy.contract import GIVEN
from aidlc_deploy.templates import ENVIRONMENTS, Template
from stand_in.deployed import Deployed, deploy, reached
from stand_in.server import running

PLAIN = {
    "ENVIRONMENT",
    "AWS_DEFAULT_REGION",
    "PORT",
    "LOG_FORMAT",
    "PUBLIC_URL",
    "TRUSTED_PROXIES",
    "DATABASE_URL",
    "DATABASE_SECRET_ARN",
    "REDIS_URL",
    "MIGRATE_AT_START",
    "INSTANCES",
    "MAIL_TRANSPORT",
    "MAIL_FROM",
}
BY_SES = {"SES_TOPIC_ARN", "SES_CONFIGURATION_SET"}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Deployed]]:
    with running(tmp_path_factory.mktemp("stand-in") / "log") as server, reached(server), ThreadPoolExecutor() as pool:
        yield dict(zip(ENVIRONMENTS, pool.map(deploy, ENVIRONMENTS)))


@pytest.fixture(params=ENVIRONMENTS)
def deployed(request: pytest.FixtureRequest, account: dict[str, Deployed]) -> Deployed:
    return account[request.param]


def test_every_resource_of_the_templates_is_there_and_no_other(deployed: Deployed) -> None:
    counted = 0
    for template in deployed.deployment.templates:
        wanted = {name: resource["Type"] for name, resource in as_deployed(deployed, template).resources.items()}
        assert deployed.resources(template.name) == wanted, template.file
        counted += len(wanted)
    print(f"{deployed.deployment.environment}: {counted} resources in {len(deployed.deployment.templates)} stacks")


def test_every_output_is_exported_and_nothing_else(account: dict[str, Deployed]) -> None:
    wanted = {
        export
        for deployed in account.values()
        for template in deployed.deployment.templates
        for export in as_deployed(deployed, template).exports().values()
    }
    exports = next(iter(account.values())).exports()
    assert set(exports) == wanted
    assert all(exports.values()), "an export is empty"
    print(f"{len(exports)} exports")


def test_a_task_gets_the_agreed_environment(deployed: Deployed) -> None:
    environment = deployed.deployment.environment
    (container,) = deployed.task_definition()["containerDefinitions"]
    plain = {variable["name"]: variable["value"] for variable in container["environment"]}
    exports = deployed.exports()

    assert set(plain) == (PLAIN | BY_SES if environment == "production" else PLAIN)
    assert plain["ENVIRONMENT"] == environment
    assert plain["DATABASE_URL"] == (
        f"postgres://{exports[f'{environment}-aidlc-auth-database-address']}:5432/aidlc_auth"
        "?sslmode=verify-full&sslrootcert=/etc/ssl/rds.pem"
    )
    assert plain["REDIS_URL"] == f"rediss://{exports[f'{environment}-aidlc-auth-cache-address']}:6379"
    assert plain["PUBLIC_URL"] == {
        "staging": f"http://{exports['staging-aidlc-auth-load-balancer-dns-name']}",
        "production": "https://auth.example.com",
    }[environment]


def test_the_secrets_of_a_task_are_there_under_their_keys(deployed: Deployed) -> None:
    secrets = secrets_of(deployed)

    assert set(secrets) == {"SECRET_KEYS", "REDIS_PASSWORD", "DATABASE_SECRET_ARN"}
    assert len(base64.b64decode(secrets["SECRET_KEYS"], validate=True)) == 48
    assert len(secrets["REDIS_PASSWORD"]) == 64
    database = json.loads(secrets["DATABASE_SECRET_ARN"])
    assert database.keys() == {"username", "password"} and database["username"] == "postgres"


def test_no_secret_can_be_read_without_the_secret(deployed: Deployed) -> None:
    """Neither in templates and parameters, nor in what AWS shows of stacks, tasks, the database and the cache."""
    stacks, shown = deployed.client("cloudformation"), []
    for stack in deployed.deployment.stacks():
        for look in (stacks.describe_stacks, stacks.describe_stack_resources, stacks.describe_stack_events, stacks.get_template):
            shown.append(look(StackName=stack.name))
    shown += [deployed.task_definition(), deployed.exports()]
    shown.append(deployed.client("rds").describe_db_instances())
    shown.append(deployed.client("elasticache").describe_replication_groups())
    text = json.dumps(shown, default=str)

    for name, secret in secrets_of(deployed).items():
        for word in json.loads(secret).values() if secret.startswith("{") else [secret]:
            assert word == "postgres" or word not in text, name


def test_a_release_is_registered_first_and_rolls_after(account: dict[str, Deployed]) -> None:
    """The service goes on with the old revision until it is told; the old one stays, so that it can go back."""
    deployed = account["staging"]
    first = running_revision(deployed)

    up.register(deployed.deployment, "2")
    second = deployed.deployment.stack("service").output("TaskDefinitionArn")
    assert second != first and running_revision(deployed) == first

    up.roll(deployed.deployment)
    assert running_revision(deployed) == second

    template = deployed.deployment.template("service")
    deployed.deployment.stack("service").set_parameters(template, {"RunningTaskDefinition": first})
    assert running_revision(deployed) == first
    for revision in (first, second):
        found = deployed.client("ecs").describe_task_definition(taskDefinition=revision)
        assert found["taskDefinition"]["status"] == "ACTIVE"


def test_one_task_is_all_that_runs_while_it_is_asked_for(account: dict[str, Deployed]) -> None:
    deployed = account["production"]
    stack, template = deployed.deployment.stack("service"), deployed.deployment.template("service")
    assert running_at_once(deployed) == {"percent": (100, 200), "scaled": (2, 6)}

    stack.set_parameters(template, {"OneTask": "true"})
    assert running_at_once(deployed) == {"percent": (0, 100), "scaled": (1, 1)}
    assert service_of(deployed)["desiredCount"] == 1

    stack.set_parameters(template, {"OneTask": "false"})
    assert running_at_once(deployed) == {"percent": (100, 200), "scaled": (2, 6)}


def test_mail_can_be_simulated_again(account: dict[str, Deployed]) -> None:
    """Although 8-monitoring subscribes to the topic: an export in use cannot go."""
    deployed = account["staging"]

    def change(name: str, **parameters: str) -> set[str]:
        deployed.deployment.stack(name).set_parameters(deployed.deployment.template(name), parameters)
        return set(deployed.resources(name))

    simulated = set(deployed.resources("service"))
    assert change("service", MailTransport="ses") - simulated == {"MailConfigurationSet", "MailEvents"}
    by_ses = {"MailTransport": "ses", "PublicUrl": "https://staging.example.com"}
    assert "BounceSubscription" not in change("monitoring", **by_ses, MailSubscription="false")
    assert "BounceSubscription" in change("monitoring", MailSubscription="true")

    assert change("service", MailTransport="simulation") == simulated
    assert "BounceSubscription" not in change("monitoring", MailTransport="simulation", PublicUrl="")


def as_deployed(deployed: Deployed, template: Template) -> Template:
    """What the template says with this environment's parameters."""
    deployment = deployed.deployment
    given = deployment.parameters.for_template(template, deployment.environment, **GIVEN)
    return template.rendered(given, deployment.aws.region)


def running_revision(deployed: Deployed) -> str:
    return service_of(deployed)["taskDefinition"]


def running_at_once(deployed: Deployed) -> dict[str, tuple[int, int]]:
    """From how many to how many tasks may run: in percent during a deployment, and by auto scaling."""
    resource = f"service/{deployed.deployment.cluster}/{deployed.deployment.service}"
    scaling = deployed.client("application-autoscaling")
    found = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[resource])
    (target,) = found["ScalableTargets"]
    # moto's ECS keeps nothing of this, so it is what the stack gave to it.
    given = deployed.deployment.stack("service").parameters()
    service = deployed.deployment.template("service").rendered(given, deployed.aws.region).resources["Service"]
    during = service["Properties"]["DeploymentConfiguration"]
    return {
        "percent": (during["MinimumHealthyPercent"], during["MaximumPercent"]),
        "scaled": (target["MinCapacity"], target["MaxCapacity"]),
    }


def service_of(deployed: Deployed) -> dict:
    deployment = deployed.deployment
    found = deployed.client("ecs").describe_services(cluster=deployment.cluster, services=[deployment.service])
    (service,) = found["services"]
    return service


def secrets_of(deployed: Deployed) -> dict[str, str]:
    """Every secret that a task gets or reads, by the variable that leads to it."""
    (container,) = deployed.task_definition()["containerDefinitions"]
    plain = {variable["name"]: variable["value"] for variable in container["environment"]}
    found = {"DATABASE_SECRET_ARN": secret_text(deployed, plain["DATABASE_SECRET_ARN"])}
    for secret in container["secrets"]:
        arn, key, stage, version = secret["valueFrom"].rsplit(":", 3)
        assert (stage, version) == ("", ""), "the newest version of the secret"
        found[secret["name"]] = json.loads(secret_text(deployed, arn))[key]
    return found


def secret_text(deployed: Deployed, arn: str) -> str:
    return deployed.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
