"""Comments that silence findings, and what they don't."""

from __future__ import annotations

import pytest
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import SourceFile
from wardgate.compiler.lint import CODES, lint_policy
from wardgate.compiler.lint.silencing import silencers

POLICY = """\
version: 1
hosts: {spare: 10.0.0.1}{hosts}
policies:
  "*":
    allow:
      - "10.0.0.5 tcp"
{above}
      - "10.0.0.5 80/tcp"{behind}
      - "10.0.0.5 81/tcp"
"""


def told(hosts: str = "", above: str = "", behind: str = "") -> list[str]:
    text = POLICY.replace("{hosts}", hosts).replace("{above}", above).replace("{behind}", behind)
    report = lint_policy(parse_policy_text(text))
    return [f"{finding.code}@{finding.position.line}" for finding in report.findings]


def test_without_comments() -> None:
    assert told() == ["unused-host@2", "dead-rule@8", "dead-rule@9"]


def test_a_comment_behind_is_about_its_line() -> None:
    assert told(behind="  # wardgate: ignore dead-rule") == ["unused-host@2", "dead-rule@9"]
    assert told(hosts="\t# wardgate: ignore unused-host -- soon") == ["dead-rule@8", "dead-rule@9"]


def test_a_comment_alone_is_about_the_line_below() -> None:
    above = "# wardgate: ignore dead-rule\n\n      # the old port"
    assert told(above=above) == ["unused-host@2", "dead-rule@11"]


def test_several_codes() -> None:
    found = told(behind=" #wardgate:ignore dead-rule, blanked-prefix")
    assert found == ["unused-host@2", "unused-ignore@8", "dead-rule@9"]


@pytest.mark.parametrize(
    "comment",
    [
        "# wardgate: ignore blanked-prefix",
        "# wardgate: ignore",
        "# wardgate: ignore everything",
        "# wardgate: ingore dead-rule",
        "# wardgate: ignore -- dead-rule",
    ],
)
def test_a_comment_that_silences_nothing_is_a_finding(comment: str) -> None:
    assert told(behind=f" {comment}") == ["unused-host@2", "dead-rule@8", "unused-ignore@8", "dead-rule@9"]


def test_other_comments_are_nobodys_business() -> None:
    assert told(behind=" # ignore dead-rule, says wardgate: check") == told()
    assert told(behind=" # see wardgate") == told()


def test_what_is_in_texts_is_no_comment() -> None:
    text = 'version: 1\nhosts: {"a": "10.0.0.5"}\nx: "y # wardgate: ignore dead-rule"\n'
    text += "z: |\n  # wardgate: ignore\nw: b#wardgate:c\n"
    assert list(silencers([SourceFile("p.yaml", text)], CODES)) == []
    text += "# wardgate: ignore dead-rule"
    (only,) = silencers([SourceFile("p.yaml", text)], CODES)
    assert (only.position.line, only.line, only.codes) == (7, None, ("dead-rule",))


def test_json_has_no_comments() -> None:
    text = '{"a": "# wardgate: ignore dead-rule"}'
    assert list(silencers([SourceFile("p.json", text)], CODES)) == []


def test_the_caller_silences_a_kind_or_a_single_finding() -> None:
    text = POLICY.replace("{hosts}", "").replace("{above}", "").replace("{behind}", "")
    loaded = parse_policy_text(text)

    def left(*ignored: str) -> tuple[list[int], int]:
        report = lint_policy(loaded, ignored)
        return [finding.position.line for finding in report.findings], report.silenced

    assert left("dead-rule") == ([2], 2)
    assert left("dead-rule:10.0.0.5 80/tcp", "unused-host:spare") == ([9], 2)
    assert left("dead-rule:10.0.0.5") == ([2, 8, 9], 0)


def test_each_file_has_its_own_comments() -> None:
    rule = '- "10.0.0.5 22/tcp" # wardgate: ignore dead-rule'
    files = {"more.yaml": f'policies:\n  "*":\n    deny:\n    {rule}\n'}
    main = 'version: 1\ninclude: more.yaml\npolicies:\n  "*":\n    deny: ["10.0.0.5 tcp"]\n'
    report = lint_policy(parse_policy_text(main, files=files))
    assert (report.findings, report.silenced) == ((), 1)
