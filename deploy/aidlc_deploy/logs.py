"""The service's log in CloudWatch: what was said since when, and what to search for."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

from .aws import AwsError
from .deployment import CONTAINER, Deployment
from .failures import Stopped

# What operators search for most; docs/operating/README.md has them all, with what to do.
PATTERNS = {
    "INFO: Application startup complete": ("started and ready", "서비스 시작 완료"),
    "✅ DB 연결 URL 생성": ("which database was chosen", "사용할 데이터베이스 확인"),
    "📧 이메일 발송 시뮬레이션": ("simulated mail, with its code", "메일 대신 로그에 기록한 인증 코드"),
    "not ready: a store cannot be worked with yet": ("a store is away at the start", "저장소에 아직 연결할 수 없음"),
    "a request was refused: a store is away": ("a store went away", "저장소를 쓸 수 없음"),
    "a dependency fails": ("/health found something", "의존 대상 이상"),
    "a mail was not sent; it is tried again": ("mail was refused for now", "메일 발송 실패, 다시 시도"),
    "limits refused requests": ("how often limits refused", "1분 동안 제한에 걸린 요청 수"),
    "a request failed unforeseen": ("a fault of ours", "예상하지 못한 오류"),
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def show(deployment: Deployment, since: str, pattern: str | None, follow: bool) -> int:
    """Prints the log's lines since then; `follow` goes on until Ctrl-C."""
    start = int((time.time() - seconds(since)) * 1000)
    shown: set[str] = set()
    try:
        while True:
            for event in search(deployment, start, pattern):
                if event["eventId"] not in shown:
                    shown.add(event["eventId"])
                    start = max(start, event["timestamp"])
                    print(f"{moment(event['timestamp'])} {task_of(event)} {event['message']}", flush=True)
            if not follow or deployment.is_dry:
                return 0
            time.sleep(deployment.patience.poll_secs)
    except KeyboardInterrupt:
        return 0


def show_patterns(language: str) -> int:
    """Prints what operators search for."""
    for pattern, meanings in PATTERNS.items():
        print(f"{pattern}\n    {meanings[language == 'ko']}")
    return 0


def search(deployment: Deployment, start: int, *phrases: str | None) -> list[dict]:
    """The lines since `start` (in ms) that hold every phrase, oldest first."""
    arguments = ["--log-group-name", deployment.log_group, "--start-time", str(start)]
    # In a filter pattern, what stands in quotes is found literally, and all of several must be there.
    quoted = " ".join('"' + phrase.replace("\\", "\\\\").replace('"', '\\"') + '"' for phrase in phrases if phrase)
    if quoted:
        arguments += ["--filter-pattern", quoted]
    events = deployment.aws.call("logs", "filter-log-events", *arguments).get("events", [])
    return sorted(events, key=lambda event: event["timestamp"])


def of_task(deployment: Deployment, task: str, definition: str) -> list[str]:
    """What one task wrote, none if nothing has arrived yet."""
    answer = deployment.aws.call("ecs", "describe-task-definition", "--task-definition", definition)
    container = answer["taskDefinition"]["containerDefinitions"][0]
    options = container["logConfiguration"]["options"]
    # The awslogs driver's name for a stream: prefix/container/task.
    stream = f"{options['awslogs-stream-prefix']}/{CONTAINER}/{task.rsplit('/', 1)[-1]}"
    arguments = ["--log-group-name", options["awslogs-group"], "--log-stream-name", stream, "--start-from-head"]
    found: list[str] = []
    token = None
    while True:
        more = ["--next-token", token] if token else []
        try:
            answer = deployment.aws.call("logs", "get-log-events", *arguments, *more)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":  # the stream is made with its first line
                return []
            raise
        found += [event["message"] for event in answer.get("events", [])]
        # A page may be short or empty without being the last; after the last the same token comes again.
        before, token = token, answer.get("nextForwardToken")
        if token in (None, before):
            return found


def seconds(span: str) -> int:
    """`10m` in seconds."""
    parts = re.fullmatch(r"(\d+)([smhd])", span)
    if not parts:
        raise Stopped(
            f"{span} is no span of time: write it as 90s, 10m, 2h or 1d",
            f"기간을 읽을 수 없습니다: {span}. 90s, 10m, 2h, 1d처럼 쓰십시오.",
        )
    return int(parts[1]) * UNITS[parts[2]]


def moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def task_of(event: dict) -> str:
    """The first digits of the task that wrote a line: enough to tell tasks apart."""
    return event.get("logStreamName", "").rsplit("/", 1)[-1][:8]
