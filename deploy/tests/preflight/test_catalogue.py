"""The list of failures is whole, and so is what is tested and written of it."""

from __future__ import annotations

import re

import pytest
from looking import ANSWERS, CATALOGUE, DEPLOY, FAULTS, recorded

GUIDE = DEPLOY.parent / "docs" / "ko" / "troubleshooting.md"
NUMBERED = [failure for failure in CATALOGUE.values() if failure.number]


def test_the_numbers_are_one_to_thirty_three():
    assert [failure.number for failure in NUMBERED] == list(range(1, 34))


@pytest.mark.parametrize("failure", CATALOGUE.values(), ids=lambda failure: failure.code)
def test_a_row_speaks_both_languages(failure):
    hangul = re.compile("[가-힣]")
    for text in (failure.what, failure.remedy):
        assert not hangul.search(text["en"]) and text["en"].endswith(".")
        assert hangul.search(text["ko"])
        # 합니다체, to the last sentence.
        assert re.search(r"(니다|십시오)(\([^)]*\))?\.$", text["ko"])
    assert failure.pattern
    assert failure.seen and set(failure.seen) <= {"P", "A", "R"}


def test_every_file_that_a_remedy_names_is_there():
    named = {
        name
        for failure in CATALOGUE.values()
        for name in re.findall(r"\d-[a-z-]+\.yaml", failure.remedy["en"] + failure.remedy["ko"])
    }
    assert named and named <= {path.name for path in (DEPLOY / "cloudformation").glob("*.yaml")}


@pytest.mark.parametrize("failure", CATALOGUE.values(), ids=lambda failure: failure.code)
def test_every_row_has_a_fixture_for_each_place_where_it_is_seen(failure):
    if "P" in failure.seen:
        assert failure.code in {fault["code"] for fault in FAULTS}
    if "A" in failure.seen and failure.code != "account_not_readable":
        recordings = {recorded(path.stem).get("code") for path in ANSWERS.glob("*.json")}
        assert failure.code in recordings


@pytest.mark.parametrize("failure", NUMBERED, ids=lambda failure: failure.code)
def test_the_korean_guide_lists_every_failure(failure):
    rows = [
        line
        for line in GUIDE.read_text("utf-8").splitlines()
        if line.startswith(f"| {failure.number} | `{failure.code}` |")
    ]
    assert len(rows) == 1
    assert f"| {'·'.join(failure.seen)} | `{failure.pattern}` |" in rows[0]


def test_the_korean_guide_names_every_code():
    guide = GUIDE.read_text("utf-8")
    assert [code for code in CATALOGUE if f"| `{code}` |" not in guide] == []
