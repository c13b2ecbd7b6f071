"""`status`: on one screen what there is, what runs, and what is wrong with it."""

from __future__ import annotations

from . import bounces, service
from .deployment import Deployment
from .service import revision

STOPPED_SHOWN = 5


def run(deployment: Deployment) -> int:
    """Prints the state of everything; 0 unless something is wrong."""
    stacks_are_well = show_stacks(deployment)
    service_is_well = show_service(deployment)
    alarms_are_silent = show_alarms(deployment)
    return 0 if stacks_are_well and service_is_well and alarms_are_silent else 1


def show_stacks(deployment: Deployment) -> bool:
    are_well = True
    print("stacks")
    for stack in deployment.stacks():
        found = stack.read()
        status = found["StackStatus"] if found else "not there"
        print(f"  {stack.name:44} {status}")
        if status.endswith("_FAILED") or status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
            print(f"    {stack.reason()}")
        # An update that was rolled back leaves a stack that works: worth a look, no fault of what runs.
        are_well = are_well and status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
    return are_well


def show_service(deployment: Deployment) -> bool:
    print(f"service {deployment.service}")
    found = service.read(deployment)
    if not found:
        print("  not there")
        return False
    stack = deployment.stack("service")
    named = stack.parameters().get("RunningTaskDefinition", "")
    outputs = stack.outputs()
    print(f"  address  {outputs.get('PublicUrl', '')} at {outputs.get('LoadBalancerDnsName', '')}")
    for item in found["deployments"]:
        print(f"  {item['status']:8} {revision(item['taskDefinition'])} {item.get('rolloutState', '')}", end=" ")
        print(f"{item['runningCount']} of {item['desiredCount']} running {item.get('rolloutStateReason', '')}".rstrip())
    steered = service.primary(found)["taskDefinition"]
    print(f"  image    {image_of(deployment, steered)}")
    for target in service.targets(deployment, found):
        health = target["TargetHealth"]
        place = f"{target['Target']['Id']}:{target['Target'].get('Port', '')}"
        print(f"  target   {place} {health['State']} {health.get('Description', '')}".rstrip())
    for task in service.stopped_tasks(deployment)[:STOPPED_SHOWN]:
        print(f"  {service.told(task)}")
    for line in bounces.pending(deployment):
        print(f"  {line}")
    if steered != named:
        print(f"  the stack names {revision(named) or 'none'}, the service runs {revision(steered)}: see `rollback`")
    return service.is_stable(found, named, service.count_healthy(deployment, found))


def show_alarms(deployment: Deployment) -> bool:
    print("alarms")
    answer = deployment.aws.call(
        "cloudwatch", "describe-alarms", "--alarm-name-prefix", f"{deployment.environment}-aidlc-auth"
    )
    alarms = answer.get("MetricAlarms", [])
    raised = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
    for alarm in raised:
        print(f"  ALARM {alarm['AlarmName']}: {alarm.get('StateReason', '')}")
    print(f"  {len(raised)} raised of {len(alarms)}")
    return not raised


def image_of(deployment: Deployment, definition: str) -> str:
    answer = deployment.aws.call("ecs", "describe-task-definition", "--task-definition", definition)
    return answer["taskDefinition"]["containerDefinitions"][0]["image"]
