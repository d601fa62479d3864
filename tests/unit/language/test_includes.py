"""Policies in several files, on disk and in memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from wardgate.compiler.language import Code, PolicyError, load_policy, parse_policy_text

RULE = "policies: {{{subject}: {{allow: [{rule}]}}}}\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / next(iter(files))


def errors_of(main: Path) -> list[tuple[str, Code]]:
    with pytest.raises(PolicyError) as caught:
        load_policy(main)
    assert all(error.remedy for error in caught.value.errors)
    return [(str(error.position), error.code) for error in caught.value.errors]


WHOLE = {
    "policy.yaml": "version: 1\ninclude: [parts/*.yaml, ../shared/hosts.json]\n"
    + RULE.format(subject="a", rule="10.0.0.1, wiki"),
    "parts/b.yaml": "policies: {a: {deny: [10.0.0.2]}, group:g: {mfa: [wiki web]}}\n",
    "parts/a.yaml": "version: 1\ninclude: deeper/c.yaml\ngroups: {group:g: [b]}\n"
    + RULE.format(subject="b", rule="wiki"),
    "parts/deeper/c.yaml": "services: {web: 80/tcp}\ninbound: {a: {allow: [10.0.0.3]}}\n",
    "parts/.hidden.yaml": "nonsense",
    "parts/notes.txt": "nonsense",
    "../shared/hosts.json": '{"hosts": {"wiki": "10.0.0.9"}, "tests": []}',
}


@pytest.mark.parametrize("disk", [True, False], ids=["disk", "memory"])
def test_files_are_merged_in_the_order_of_their_listing(tmp_path: Path, disk: bool) -> None:
    if disk:
        policy = load_policy(write(tmp_path / "main", WHOLE)).policy
    else:
        policy = parse_policy_text(WHOLE["policy.yaml"], "policy.yaml", WHOLE).policy
    assert [file.name for file in policy.files] == [
        "policy.yaml",
        "parts/a.yaml",
        "parts/deeper/c.yaml",
        "parts/b.yaml",
        "../shared/hosts.json",
    ]
    assert [(rule.id, str(rule.position), rule.subject, rule.inbound) for rule in policy.rules] == [
        (1, "policy.yaml:3:24", "a", False),
        (2, "policy.yaml:3:34", "a", False),
        (3, "parts/a.yaml:4:24", "b", False),
        (4, "parts/deeper/c.yaml:2:23", "a", True),
        (5, "parts/b.yaml:1:23", "a", False),
        (6, "parts/b.yaml:1:51", "group:g", False),
    ]
    assert policy.groups == {"group:g": ("b",)}


def test_every_file_is_reported_on(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {
            "policy.yaml": "version: 1\ninclude: [a.yaml, b.json]\npolicies: {a: {allow: [10.0.0.1/99]}}\n",
            "a.yaml": "version: 2\ntunnel: 10.0.0.0/8\ngroops: {}\n",
            "b.json": '{"policies":\n {"b": {"allow": ["10.0.0.1 0/tcp", "10.0.0.1 0/udp"]}}}',
        },
    )
    assert errors_of(main) == [
        ("policy.yaml:3:33", Code.PREFIX),
        ("a.yaml:1:10", Code.VERSION),
        ("a.yaml:2:1", Code.MISPLACED),
        ("a.yaml:3:1", Code.UNKNOWN_KEY),
        ("b.json:2:29", Code.PORT),
        ("b.json:2:47", Code.PORT),
    ]


def test_names_that_a_broken_file_may_define_are_not_called_unknown(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {
            "policy.yaml": "version: 1\ninclude: [a.yaml, b.yaml, gone.yaml]\nservices: {s: [x]}\n"
            "policies: {group:g: {allow: [wiki web, 10.0.0.1 0/tcp]}}\n"
            "tests: [{as: u, to: wiki, service: 1/tcp, expect: deny}]\n",
            "a.yaml": "groups: [",
            "b.yaml": b"\xff",
        },
    )
    assert errors_of(main) == [
        ("policy.yaml:2:27", Code.UNREADABLE),
        ("policy.yaml:4:49", Code.PORT),
        ("a.yaml:1:10", Code.SYNTAX),
        ("b.yaml:1:1", Code.ENCODING),
    ]


def test_one_name_in_two_files(tmp_path: Path) -> None:
    names = (
        "groups: {group:g: [a]}\nhosts: {h: 10.0.0.1}\nservices: {s: 1/tcp}\npolicies: {a: {allow: [h s]}}\n"
    )
    main = write(tmp_path, {"policy.yaml": "version: 1\ninclude: [b.yaml]\n" + names, "b.yaml": names})
    assert errors_of(main) == [
        ("b.yaml:1:10", Code.DUPLICATE_DEFINITION),
        ("b.yaml:2:9", Code.DUPLICATE_DEFINITION),
        ("b.yaml:3:12", Code.DUPLICATE_DEFINITION),
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"p.yaml": "version: 1\ninclude: p.yaml\n"}, [("p.yaml:2:10", Code.INCLUDE_CYCLE)]),
        ({"p.yaml": "version: 1\ninclude: '*.yaml'\n"}, [("p.yaml:2:10", Code.INCLUDE_CYCLE)]),
        (
            {
                "p.yaml": "version: 1\ninclude: d/a.yaml\n",
                "d/a.yaml": "include: b.yaml\n",
                "d/b.yaml": "include: ['./../p.yaml', a.yaml]\n",
            },
            [("d/b.yaml:1:11", Code.INCLUDE_CYCLE), ("d/b.yaml:1:26", Code.INCLUDE_CYCLE)],
        ),
        (
            {
                "p.yaml": "version: 1\ninclude: [a.yaml, ./a.yaml, '[ab].yaml']\n",
                "a.yaml": "version: 1\n",
                "b.yaml": "include: a.yaml\n",
            },
            [
                ("p.yaml:2:19", Code.INCLUDE),
                ("p.yaml:2:29", Code.INCLUDE),
                ("b.yaml:1:10", Code.INCLUDE),
            ],
        ),
        (
            {
                "p.yaml": "version: 1\n"
                "include: [no.yaml, 'no*.yaml', '**/x.yaml', /etc/passwd, d, '', ~, [x]]\n",
                "d/x.yaml": "",
            },
            [
                ("p.yaml:2:11", Code.UNREADABLE),
                ("p.yaml:2:20", Code.INCLUDE),
                ("p.yaml:2:32", Code.INCLUDE),
                ("p.yaml:2:45", Code.INCLUDE),
                ("p.yaml:2:58", Code.UNREADABLE),
                ("p.yaml:2:61", Code.EMPTY),
                ("p.yaml:2:65", Code.TYPE),
                ("p.yaml:2:68", Code.TYPE),
            ],
        ),
    ],
    ids=["itself", "itself by a pattern", "round three files", "twice", "wrong entries"],
)
def test_wrong_includes(
    tmp_path: Path, files: dict[str, str | bytes], expected: list[tuple[str, Code]]
) -> None:
    assert errors_of(write(tmp_path, files)) == expected
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(files["p.yaml"], "p.yaml", files)
    in_memory = [(str(error.position), error.code) for error in caught.value.errors]
    assert in_memory == expected


def test_a_cycle_is_named() -> None:
    files = {"a.yaml": "include: b.yaml", "b.yaml": "include: a.yaml"}
    with pytest.raises(PolicyError, match=r"include cycle: a.yaml -> b.yaml -> a.yaml"):
        parse_policy_text("version: 1\ninclude: a.yaml\n", files=files)


def test_a_long_chain_of_includes() -> None:
    files = {f"{n}.yaml": f"include: {n + 1}.yaml" for n in range(2_000)}
    files["2000.yaml"] = "policies: {a: {allow: 10.0.0.1}}"
    assert len(parse_policy_text("version: 1\ninclude: 0.yaml\n", files=files).policy.files) == 2_002


def test_links_to_one_file_are_one_file(tmp_path: Path) -> None:
    main = write(
        tmp_path, {"p.yaml": "version: 1\ninclude: [a.yaml, b.yaml, loop.yaml]\n", "a.yaml": "version: 1\n"}
    )
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert errors_of(main) == [("p.yaml:2:19", Code.INCLUDE), ("p.yaml:2:27", Code.UNREADABLE)]


def test_a_bracket_in_a_folder_is_no_pattern(tmp_path: Path) -> None:
    main = write(
        tmp_path / "m[ain]*",
        {
            "p.yaml": "version: 1\ninclude: 'd?[1]*/a.yaml'\n",
            "de[1]*/a.yaml": "version: 1\n",
            "de1/a.yaml": "include: '*/b.yaml'\n",
            "de1/x[1]/b.yaml": "include: '*.yml'\n",
            "de1/x[1]/c.yml": "policies: {a: {allow: 10.0.0.1}}\n",
        },
    )
    assert [file.name for file in load_policy(main).policy.files] == [
        "p.yaml",
        "de1/a.yaml",
        "de1/x[1]/b.yaml",
        "de1/x[1]/c.yml",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert errors_of(tmp_path) == [(f"{tmp_path.name}:1:1", Code.UNREADABLE)]
    assert errors_of(tmp_path / "gone.yaml") == [("gone.yaml:1:1", Code.UNREADABLE)]
    assert errors_of(tmp_path / ("n" * 300)) == [("n" * 300 + ":1:1", Code.UNREADABLE)]
    assert errors_of(tmp_path / "nul\0") == [("nul\0:1:1", Code.UNREADABLE)]
    assert errors_of(Path("/dev/zero")) == [("zero:1:1", Code.TOO_LARGE)]
    assert errors_of(Path("/dev/null")) == [("null:1:1", Code.EMPTY)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.allow_skip("root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    main = write(tmp_path, {"p.yaml": "version: 1\n"})
    main.chmod(0)
    assert errors_of(main) == [("p.yaml:1:1", Code.UNREADABLE)]
