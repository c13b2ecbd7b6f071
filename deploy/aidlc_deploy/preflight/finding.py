"""What a check came to, and how it is told: to people in their language, or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .catalogue import Failure

OK, WARNING, FAILED = "ok", "warning", "failed"

MARKS = {OK: "ok     ", WARNING: "warning", FAILED: "FAILED "}
WORDS = {
    "en": {
        "evidence": "seen",
        "what": "what",
        "remedy": "do",
        "sum": "failed: {failed}, warnings: {warning}, in order: {ok}",
    },
    "ko": {
        "evidence": "근거",
        "what": "원인",
        "remedy": "조치",
        "sum": "실패: {failed}, 경고: {warning}, 이상 없음: {ok}",
    },
}
# In characters; those of Korean are twice as wide.
WIDTHS = {"en": 100, "ko": 64}


@dataclass(frozen=True)
class Finding:
    """One check's outcome. The evidence names places and AWS's words, never a secret's value."""

    code: str
    status: str
    evidence: str = ""


def failed(code: str, evidence: str) -> Finding:
    return Finding(code, FAILED, evidence)


def warning(code: str, evidence: str) -> Finding:
    return Finding(code, WARNING, evidence)


def told_as_json(findings: Iterable[Finding], catalogue: Mapping[str, Failure]) -> str:
    """A JSON array of findings, each with what it means in both languages."""
    rows = []
    for finding in findings:
        failure = catalogue[finding.code]
        rows.append(
            {
                "code": finding.code,
                "number": failure.number,
                "status": finding.status,
                "evidence": finding.evidence,
                "what": dict(failure.what),
                "remedy": dict(failure.remedy),
            }
        )
    return json.dumps(rows, ensure_ascii=False, indent=2)


def told_as_text(findings: Iterable[Finding], catalogue: Mapping[str, Failure], language: str) -> str:
    """One line for what is in order; what is not, with evidence, cause and remedy; a sum at the end."""
    words = WORDS[language]
    lines = []
    counts = {OK: 0, WARNING: 0, FAILED: 0}
    for finding in findings:
        failure = catalogue[finding.code]
        counts[finding.status] += 1
        number = f"{failure.number:>2}" if failure.number else "  "
        lines.append(f"{MARKS[finding.status]} {number} {finding.code}")
        if finding.status != OK:
            width = WIDTHS[language]
            lines += paragraph(words["evidence"], finding.evidence, width)
            lines += paragraph(words["what"], failure.what[language], width)
            lines += paragraph(words["remedy"], failure.remedy[language], width)
    return "\n".join([*lines, words["sum"].format(**counts)])


def paragraph(label: str, text: str, width: int) -> list[str]:
    """Wrapped at spaces alone: a command that was broken in a word cannot be copied."""
    return textwrap.wrap(
        f"{label}: {text}",
        width=width,
        initial_indent=" " * 11,
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )
