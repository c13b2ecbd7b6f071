"""The account as a whole: which call goes where, the smaller services, and the faults of the day."""

from __future__ import annotations

import json

from .answers import Refused, options
from .containers import ACCOUNT, REGISTRY, Ecs
from .stacks import CloudFormation, Stack

# What must never be seen in an argument, a line of output or a file: it is in the account's secrets and
# in what passes through pipes.
CANARY = "canary-3f9a6c"
BALANCER = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/aidlc-auth/1"


class Account:
    """Everything that lasts between two calls."""

    def __init__(self) -> None:
        self.cloudformation = CloudFormation(self)
        self.ecs = Ecs(self)
        self.images: list[str] = []
        self.index_of: dict[str, str] = {}
        self.log: list[dict] = []
        self.mails: dict[str, str] = {}
        self.accounts: list[str] = []
        self.faults: dict[str, list[dict]] = {}
        self.protected: list[str] = []
        self.calls: list[list[str]] = []
        # Simulated mail stands in the log; mail by SES does not.
        self.mail_is_simulated = True
        # How many looks it takes CloudWatch to have another line of a task; 0 where it has all at once.
        self.looks_per_line = 0

    def plant(self, where: str, times: int = 1, **fault) -> None:
        """Lets something fail: `staging-aidlc-auth-database:create`, `migrate`, `breaker`, `register`."""
        self.faults[where] = [fault] * times

    def fault(self, where: str) -> dict | None:
        planted = self.faults.get(where)
        return planted.pop(0) if planted else None

    # The `aws` command.

    def aws(self, arguments: list[str]) -> str:
        """What the command prints; raises Refused as AWS would."""
        service, operation, *rest = arguments
        asked = options(rest)
        assert asked["output"] == ["json"] and asked["region"] == ["us-east-1"], arguments
        if operation == "get-login-password":
            return f"{CANARY}-registry\n"
        places = {
            "cloudformation": self.cloudformation,
            "ecs": self.ecs,
        }
        place = places.get(service, self)
        name = operation.replace("-", "_")
        method = getattr(place, name if place is not self else f"{service}_{name}", None)
        assert method, f"the stand-in does not know: aws {service} {operation}"
        return json.dumps(method(asked))

    def sts_get_caller_identity(self, asked: dict) -> dict:
        return {"Account": ACCOUNT}

    def ecr_describe_images(self, asked: dict) -> dict:
        self.must_have_repository(asked)
        tag = asked["image-ids"][0].removeprefix("imageTag=")
        if tag not in self.images:
            raise Refused("ImageNotFoundException", f"The image with imageId {{imageDigest:'null', imageTag:'{tag}'}} does not exist")
        return {"imageDetails": [{"imageTags": [tag]}]}

    def ecr_list_images(self, asked: dict) -> dict:
        self.must_have_repository(asked)
        return {"imageIds": [{"imageTag": tag} for tag in self.images]}

    def ecr_batch_delete_image(self, asked: dict) -> dict:
        wanted = [item["imageTag"] for item in json.loads(asked["image-ids"][0])]
        # Index by image that it refers to; images of one call are looked at as they were before it.
        held = [tag for tag in wanted if self.index_of.get(tag) in self.images]
        self.images = [tag for tag in self.images if tag not in wanted or tag in held]
        reason = "Requested image referenced by manifest list"
        return {"failures": [{"failureCode": "ImageReferencedByManifestList", "failureReason": reason} for _ in held]}

    def must_have_repository(self, asked: dict) -> None:
        if not any(name.endswith("-registry") for name in self.cloudformation.stacks):
            name = asked["repository-name"][0]
            raise Refused("RepositoryNotFoundException", f"The repository with name '{name}' does not exist")

    def elbv2_describe_target_health(self, asked: dict) -> dict:
        service = self.ecs.service
        is_healthy = service["looks_left"] == 0 and service["probes_left"] == 0
        # A task that runs becomes healthy some probes later.
        service["probes_left"] = max(0, service["probes_left"] - (service["looks_left"] == 0))
        health = {"State": "healthy"} if is_healthy else {"State": "initial", "Description": "Target registration is in progress"}
        return {"TargetHealthDescriptions": [{"Target": {"Id": "10.0.10.4", "Port": 8001}, "TargetHealth": health}]}

    def elbv2_describe_load_balancers(self, asked: dict) -> dict:
        if not self.has_left("service", asked["names"][0]):
            raise Refused("LoadBalancerNotFound", f"Load balancers '[{asked['names'][0]}]' not found")
        return {"LoadBalancers": [{"LoadBalancerArn": BALANCER}]}

    def elbv2_describe_load_balancer_attributes(self, asked: dict) -> dict:
        assert asked["load-balancer-arn"] == [BALANCER]
        value = "true" if "balancer" in self.protected else "false"
        return {"Attributes": [{"Key": "deletion_protection.enabled", "Value": value}]}

    def elbv2_modify_load_balancer_attributes(self, asked: dict) -> dict:
        assert asked["load-balancer-arn"] == [BALANCER]
        assert asked["attributes"] == ["Key=deletion_protection.enabled,Value=false"]
        self.protected.remove("balancer")
        return {}

    def rds_describe_db_instances(self, asked: dict) -> dict:
        name = asked["db-instance-identifier"][0]
        if not self.has_left("database", name):
            raise Refused("DBInstanceNotFound", f"DBInstance {name} not found.")
        return {"DBInstances": [{"DeletionProtection": "database" in self.protected}]}

    def rds_modify_db_instance(self, asked: dict) -> dict:
        assert "no-deletion-protection" in asked and "apply-immediately" in asked
        if self.fault("modify") is not None:
            raise Refused("InvalidDBInstanceState", "Database instance is not in available state.")
        self.protected.remove("database")
        return {}

    def has_left(self, stack: str, name: str) -> bool:
        """Whether there is the resource of that name, which `stack` makes: it is not, if its creation was undone."""
        found = self.cloudformation.stacks.get(f"{name}-{stack}")
        return found is not None and found.status not in ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")

    def protected_in(self, stack: Stack) -> tuple[str, str] | None:
        """The resource for which a stack cannot be deleted, and the service's words for that."""
        words = {
            "database": "Cannot delete protected DB Instance, please disable deletion protection and try again.",
            "balancer": f"Load balancer '{BALANCER}' cannot be deleted because deletion protection is enabled",
        }
        of_stack = {"database": "database", "service": "balancer"}.get(stack.name.rsplit("-", 1)[-1])
        return (of_stack.title(), words[of_stack]) if of_stack in self.protected else None

    def sns_list_subscriptions_by_topic(self, asked: dict) -> dict:
        stacks = self.cloudformation.stacks.values()
        watching = next((stack for stack in stacks if stack.name.endswith("-monitoring")), None)
        if not watching or watching.parameters.get("MailSubscription") != "true":
            return {"Subscriptions": []}
        arn = "PendingConfirmation" if self.fault("confirmation") is not None else "arn:aws:sns:us-east-1:1:mail:1"
        return {"Subscriptions": [{"SubscriptionArn": arn, "Endpoint": "https://auth.example.com/api/mail/notifications"}]}

    def cloudwatch_describe_alarms(self, asked: dict) -> dict:
        prefix = asked["alarm-name-prefix"][0]
        return {
            "MetricAlarms": [
                {"AlarmName": f"{prefix}-5xx", "StateValue": "OK"},
                {"AlarmName": f"{prefix}-memory", "StateValue": "ALARM", "StateReason": "Threshold Crossed"},
            ]
        }

    def logs_filter_log_events(self, asked: dict) -> dict:
        phrases = [part for part in asked.get("filter-pattern", [""])[0].split('"') if part.strip()]
        return {"events": [event for event in self.log if all(phrase in event["message"] for phrase in phrases)]}

    def logs_get_log_events(self, asked: dict) -> dict:
        for task in self.ecs.tasks:
            if asked["log-stream-name"][0] == f"ecs/aidlc-auth/{task.arn.rsplit('/', 1)[-1]}":
                at = int(asked.get("next-token", ["0"])[0])
                task.looks += at == 0
                arrived = task.looks // self.looks_per_line if self.looks_per_line else len(task.lines)
                # A page holds two.
                lines = task.lines[:arrived][at : at + 2]
                return {"events": [{"message": line} for line in lines], "nextForwardToken": str(at + len(lines))}
        raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")

    # What CloudFormation does to the rest of the account.

    def committed(self, stack: Stack) -> None:
        if not stack.name.endswith("-service"):
            return
        environment = stack.parameters["Environment"]
        self.ecs.cluster = f"{environment}-aidlc-cluster"
        image = f"{REGISTRY}/{environment}-aidlc-auth:{stack.parameters['ImageTag']}"
        store = "memory:" if stack.parameters["CacheInMemory"] == "true" else "rediss://cache:6379"
        newest = self.ecs.definitions[-1] if self.ecs.definitions else {}
        if (newest.get("image"), newest.get("store")) != (image, store):
            self.ecs.register(environment, image, store)
        if stack.parameters["RunningTaskDefinition"]:
            self.ecs.run(environment, stack.parameters["RunningTaskDefinition"], stack.parameters["OneTask"] == "true")

    def deleted(self, stack: Stack) -> None:
        if stack.name.endswith("-service"):
            self.ecs.service, self.ecs.cluster = None, None

    def output(self, stack: Stack, name: str, value: object) -> str:
        environment = stack.parameters["Environment"]
        known = {
            "TaskDefinitionArn": lambda: self.ecs.definitions[-1]["arn"],
            "RepositoryUri": lambda: f"{REGISTRY}/{environment}-aidlc-auth",
            "PublicUrl": lambda: stack.parameters["PublicUrl"] or "http://alb.example",
            "LoadBalancerDnsName": lambda: "alb.example",
            "PrivateSubnetIds": lambda: "subnet-a,subnet-b",
        }
        return known.get(name, lambda: value if isinstance(value, str) else f"{name}-of-{environment}")()

    def log_group(self) -> str:
        return "/ecs/" + self.ecs.cluster.removesuffix("-cluster") + "-auth"
