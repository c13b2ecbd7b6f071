"""Faults to plant in copies of the real templates and parameter files, each with what preflight must say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """In `file`, `old` becomes `new`; then preflight names `code`, with these words as evidence."""

    code: str
    file: str
    old: str
    new: str
    evidence: str
    environment: str = "staging"


# Nobody may read it in what preflight prints.
CANARY = "canary-p4ssw0rd"

SERVICE, IAM, NETWORK, GROUPS = "7-service.yaml", "4-iam.yaml", "1-network.yaml", "2-security-groups.yaml"
ENDPOINTS, REGISTRY, MONITORING, STAGING = "5-endpoints.yaml", "6-registry.yaml", "8-monitoring.yaml", "staging.json"

FAULTS = [
    Fault("resource_initialization", ENDPOINTS, "${AWS::Region}.ecr.api", "${AWS::Region}.ecs", "no endpoint for ecr.api, and no NAT gateway"),
    Fault("resource_initialization", ENDPOINTS, "PrivateDnsEnabled: true", "PrivateDnsEnabled: false", "EcrApiEndpoint: PrivateDnsEnabled is off"),
    Fault("resource_initialization", NETWORK, "EnableDnsHostnames: true", "EnableDnsHostnames: false", "Vpc: EnableDnsHostnames is off"),
    Fault("resource_initialization", GROUPS, "      GroupId: !Ref EndpointGroup", "      GroupId: !Ref CacheGroup", "EndpointGroup: no rule takes port 443 from TaskGroup"),
    Fault("resource_initialization", ENDPOINTS, "${AWS::Region}.s3", "${AWS::Region}.dynamodb", "no gateway endpoint for S3"),
    Fault("resource_initialization", NETWORK, "Value: !Ref PrivateRoutes", "Value: !Ref PublicRoutes", "S3Endpoint: RouteTableIds lacks PrivateRoutes"),
    Fault("resource_initialization", IAM, "- ecr:BatchGetImage", "- ecr:DescribeImages", "ExecutionRole: no ecr:BatchGetImage"),
    Fault("image_architecture", SERVICE, "        CpuArchitecture: !Ref CpuArchitecture\n", "", "RuntimePlatform.CpuArchitecture is not given"),
    Fault("secret_key_suffix", SERVICE, "${KeysSecretArn}:keys::", "${KeysSecretArn}", "the valueFrom of SECRET_KEYS names no key"),
    Fault("secret_key_suffix", SERVICE, "${CacheSecretArn}:password::", "${CacheSecretArn}:auth::", "asks for the key auth, and 3-database.yaml, CacheSecret, has password"),
    Fault("secret_access", IAM, "${Environment}-aidlc-auth-keys-secret-arn", "${Environment}-aidlc-auth-cache-secret-arn", "ExecutionRole: no secretsmanager:GetSecretValue on the secret of SECRET_KEYS"),
    Fault("secret_access", IAM, "${Environment}-aidlc-auth-database-secret-arn", "${Environment}-aidlc-auth-keys-secret-arn", "TaskRole: no secretsmanager:GetSecretValue on the secret of DATABASE_SECRET_ARN"),
    Fault("no_circuit_breaker", SERVICE, "DeploymentCircuitBreaker:\n          Enable: true", "DeploymentCircuitBreaker:\n          Enable: false", "DeploymentCircuitBreaker without Enable"),
    Fault("target_group_unattached", SERVICE, "    DependsOn: Listener\n    Properties:\n      ServiceName", "    Properties:\n      ServiceName", "no DependsOn with Listener"),
    Fault("target_group_unattached", SERVICE, "        - Type: forward\n          TargetGroupArn: !Ref TargetGroup", "        - Type: fixed-response\n          FixedResponseConfig: {StatusCode: '404'}", "no listener of this stack forwards to TargetGroup"),
    Fault("killed_while_starting", SERVICE, "HealthCheckPath: /health/ready", "HealthCheckPath: /", "HealthCheckPath is /, not /health/ready"),
    Fault("killed_while_starting", SERVICE, "HealthCheckTimeoutSeconds: 5", "HealthCheckTimeoutSeconds: 10", "HealthCheckTimeoutSeconds 10 is not below HealthCheckIntervalSeconds 10"),
    Fault("killed_while_starting", SERVICE, "          ContainerPort: 8001\n          TargetGroupArn", "          ContainerPort: 8000\n          TargetGroupArn", "LoadBalancers has port 8000, the service listens on 8001"),
    Fault("killed_while_starting", SERVICE, "      HealthCheckGracePeriodSeconds: !Ref HealthCheckGraceSeconds\n", "", "HealthCheckGracePeriodSeconds is not given"),
    Fault("killed_while_starting", SERVICE, "Command: [CMD, /aidlc-auth, healthcheck]", "Command: [CMD-SHELL, /aidlc-auth healthcheck]", "HealthCheck by CMD-SHELL"),
    Fault("killed_while_starting", SERVICE, 'HttpCode: "200"', 'HttpCode: "301"', "Matcher is 301"),
    Fault("targets_unhealthy", SERVICE, "TargetType: ip", "TargetType: instance", "TargetType is instance"),
    Fault("targets_unhealthy", SERVICE, '          Environment:\n', '          Environment:\n            - {Name: HOST, Value: 127.0.0.1}\n', "HOST is 127.0.0.1"),
    Fault("targets_unhealthy", GROUPS, "SourceSecurityGroupId: !Ref AlbGroup", "SourceSecurityGroupId: !Ref CacheGroup", "TaskGroup: no rule takes port 8001 from AlbGroup"),
    Fault("security_group_cycle", GROUPS, "      GroupDescription: The load balancer\n", "      GroupDescription: !Sub Before ${TasksFromAlb}\n", "AlbGroup → TasksFromAlb → AlbGroup"),
    Fault("export_in_use", MONITORING, "${Environment}-aidlc-auth-target-group-full-name", "${Environment}-aidlc-auth-task-definition-arn", "task-definition-arn changes with every release"),
    Fault("export_in_use", REGISTRY, "Outputs:\n", "Outputs:\n  CacheAddress: {Value: x, Export: {Name: !Sub '${Environment}-aidlc-auth-cache-address'}}\n", "cache-address is exported by 3-database.yaml too"),
    Fault("export_missing", ENDPOINTS, "${Environment}-aidlc-auth-vpc-id", "${Environment}-aidlc-auth-vpcid", "is ${Environment}-aidlc-auth-vpc-id meant?"),
    Fault("export_missing", NETWORK, "      CidrBlock: !Ref VpcCidr\n", "      CidrBlock: !ImportValue {'Fn::Sub': '${Environment}-aidlc-auth-task-role-arn'}\n", "is exported by 4-iam.yaml, which comes later"),
    Fault("password_in_url", SERVICE, "postgres://${DatabaseAddress}", f"postgres://postgres:{CANARY}@${{DatabaseAddress}}", "DATABASE_URL carries a password in its value"),
    Fault("password_in_url", SERVICE, "rediss://${CacheAddress}", "rediss://:{{resolve:secretsmanager:cache:SecretString:password}}@${CacheAddress}", "REDIS_URL carries a password in its value"),
    Fault("too_many_connections", STAGING, '"MaxTasks": "2"', '"MaxTasks": "5"', "10 connections × 10 tasks during a deployment + 3 = 103"),
    Fault("out_of_memory", SERVICE, '          Environment:\n', '          Environment:\n            - {Name: PASSWORD_HASH_THREADS, Value: "32"}\n', "32 hashes at once × 19 MiB + 128 MiB = 736 MiB, and the task has 512 MiB"),
    Fault("exec_not_connected", SERVICE, "EnableExecuteCommand: !Ref EnableExec", "EnableExecuteCommand: true", "TaskRole: the task role lacks ssmmessages:CreateControlChannel"),
    Fault("desired_count", SERVICE, "      LaunchType: FARGATE\n", "      LaunchType: FARGATE\n      DesiredCount: 2\n", "DesiredCount 2 beside a scalable target"),
    Fault("no_logs", SERVICE, "awslogs-group: !Ref LogGroup", "awslogs-group: /ecs/staging-auth", "logs to /ecs/staging-auth, which no template creates"),
    Fault("no_logs", IAM, "- logs:CreateLogStream", "- logs:DescribeLogStreams", "ExecutionRole: no logs:CreateLogStream"),
    Fault("bad_gateway_at_deploy", SERVICE, 'Key: idle_timeout.timeout_seconds\n          Value: "60"', 'Key: idle_timeout.timeout_seconds\n          Value: "120"', "holds idle connections for 120 s, and the service closes them after 75 s"),
    Fault("bad_gateway_at_deploy", SERVICE, "StopTimeout: 45", "StopTimeout: 30", "StopTimeout is 30 s, and stopping takes up to 35 s"),
    Fault("bad_gateway_at_deploy", SERVICE, 'Key: deregistration_delay.timeout_seconds\n          Value: "30"', 'Key: deregistration_delay.timeout_seconds\n          Value: "5"', "deregistration_delay is 5 s"),
    Fault("mail_rejected", ENDPOINTS, "${AWS::Region}.email", "${AWS::Region}.email-smtp", "there is no endpoint for email", environment="production"),
    Fault("parameter_refused", STAGING, '    "MinTasks": "1",\n', "", "MinTasks is not given"),
    Fault("parameter_refused", STAGING, '"ContainerInsights": "disabled"', '"ContainerInsights": "off"', "ContainerInsights is none of enabled, disabled"),
    Fault("parameter_refused", SERVICE, "  MinTasks:\n    Type: Number\n", "  MinTasks:\n    Type: Number\n    Default: 1\n", "MinTasks has a default"),
]  # fmt: skip
