"""Policies that are wrong, each with every error that has to be reported, at its exact place."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from wardgate.compiler.language import Code, PolicyError, Severity, parse_policy_text, static_resolver

RESOLVER = static_resolver({"empty.example.org": [], "good.example.org": ["192.0.2.7"]})


@dataclass(frozen=True)
class Broken:
    """`errors`: line, column, code, and words of the message or the remedy."""

    name: str
    text: str | bytes
    errors: tuple[tuple[int, int, Code, tuple[str, ...]], ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    main: str = "policy.yaml"


def at(line: int, column: int, code: Code, *words: str) -> tuple[int, int, Code, tuple[str, ...]]:
    return line, column, code, words


def rule(text: str) -> str:
    """A policy whose only rule is `text`, which starts at 4:14, after the quote."""
    return f'version: 1\npolicies:\n  "*":\n    allow: ["{text}"]\n'


HEAD = "version: 1\n"

SYNTAX = [
    Broken("empty file", "", (at(1, 1, Code.EMPTY, "no policy", "version: 1"),)),
    Broken("only comments", "# nothing\n\n", (at(1, 1, Code.EMPTY, "no policy"),)),
    Broken("null document", "~\n", (at(1, 1, Code.EMPTY, "no policy"),)),
    Broken("a list", "- a\n- b\n", (at(1, 1, Code.TYPE, "a mapping", "a list"),)),
    Broken("a text", "hello\n", (at(1, 1, Code.TYPE, "a mapping", "single value"),)),
    Broken("not UTF-8", b"version: 1\n# caf\xe9\n", (at(2, 6, Code.ENCODING, "0xe9", "UTF-8"),)),
    Broken(
        "not UTF-8 after multibyte",
        "# \u00e9\u00e9 ".encode() + b"\xff\n",
        (at(1, 6, Code.ENCODING, "0xff"),),
    ),
    Broken("cut inside a character", b"# \xe2\x82", (at(1, 3, Code.ENCODING, "0xe2"),)),
    Broken("surrogate in UTF-8", b"# \xed\xa0\x80\n", (at(1, 3, Code.ENCODING, "0xed"),)),
    Broken("overlong UTF-8", b"# \xc0\xaf\n", (at(1, 3, Code.ENCODING, "0xc0"),)),
    Broken("UTF-16", "version: 1\n".encode("utf-16"), (at(1, 1, Code.ENCODING, "UTF-16", "save"),)),
    Broken("UTF-16, big end first", b"\xfe\xff\x00v", (at(1, 1, Code.ENCODING, "UTF-16"),)),
    Broken("UTF-32", "version: 1\n".encode("utf-32"), (at(1, 1, Code.ENCODING, "UTF-32"),)),
    Broken("NUL byte", b"version: 1\ngroups: \x00\n", (at(2, 9, Code.CHARACTER, "U+0000"),)),
    Broken("two BOMs", b"\xef\xbb\xbf\xef\xbb\xbfversion: 1\n", (at(1, 1, Code.CHARACTER, "U+FEFF"),)),
    Broken(
        "control and direction characters",
        "version: 1\n# \x1b[2J\n# \u202eabc\u2028\n",
        (
            at(2, 3, Code.CHARACTER, "U+001B"),
            at(3, 3, Code.CHARACTER, "U+202E RIGHT-TO-LEFT OVERRIDE"),
            at(3, 7, Code.CHARACTER, "U+2028"),
        ),
    ),
    Broken("tab indentation", "groups:\n\tgroup:a: [b]\n", (at(2, 1, Code.SYNTAX, "spaces"),)),
    Broken(
        "unclosed list", "version: 1\ngroups: [a\n", (at(2, 11, Code.SYNTAX, "line 2, column 9", "bracket"),)
    ),
    Broken(
        "unclosed quote", 'version: 1\nhosts: "a\n', (at(2, 10, Code.SYNTAX, "line 2, column 8", "quote"),)
    ),
    Broken("unquoted star", "version: 1\npolicies:\n  *:\n    allow: []\n", (at(3, 3, Code.SYNTAX, '"*"'),)),
    Broken("colon in plain text", "version: 1\nhosts: a: b\n", (at(2, 9, Code.SYNTAX, "quotes"),)),
    Broken(
        "list in mapping", "version: 1\ngroups:\n  group:a: [b]\n  - c\n", (at(4, 3, Code.SYNTAX, "mapping"),)
    ),
    Broken("unquoted at-sign", "version: 1\nhosts: @a\n", (at(2, 8, Code.SYNTAX, "quotes"),)),
    Broken(
        "two documents",
        "version: 1\n---\nversion: 1\n",
        (at(2, 1, Code.UNSUPPORTED_YAML, "second YAML document"),),
    ),
    Broken(
        "aliases, anchors, tags, merge keys",
        "version: 1\ngroups:\n  group:a: &x [u]\n  group:b: *x\n  group:c: [!user v]\n  <<: {group:e: [w]}\n",
        (
            at(3, 12, Code.UNSUPPORTED_YAML, "anchors", "&x"),
            at(4, 12, Code.UNSUPPORTED_YAML, "aliases", "*x"),
            at(5, 13, Code.UNSUPPORTED_YAML, "tags", "!user"),
            at(6, 3, Code.UNSUPPORTED_YAML, "merge keys"),
        ),
    ),
    Broken("a tag of YAML's own", "version: !!int 1\n", (at(1, 10, Code.UNSUPPORTED_YAML, "tags"),)),
    Broken("tagged mapping", "!!map\nversion: 1\n", (at(1, 1, Code.UNSUPPORTED_YAML, "tags"),)),
    Broken("list as key", "version: 1\n? [a]\n: b\n", (at(2, 3, Code.TYPE, "key"),)),
    Broken(
        "unknown directive", "%FOO bar\n%YAML 3.0\n---\nversion: 1\n", (at(1, 5, Code.SYNTAX, "directive"),)
    ),
    Broken(
        "escaped control character",
        'version: 1\ngroups: {"group:\\0": [a]}\n',
        (at(2, 10, Code.CHARACTER, "U+0000"),),
    ),
    Broken(
        "duplicate keys, and what is wrong in both values",
        "version: 1\npolicies:\n  a: {allow: [x], allow: [y]}\n  a: {deny: [z]}\nversion: 2\n",
        (
            at(3, 15, Code.UNKNOWN_NAME, "`x`"),
            at(3, 19, Code.DUPLICATE_KEY, "`allow`", "policy.yaml:3:7"),
            at(3, 27, Code.UNKNOWN_NAME, "`y`"),
            at(4, 3, Code.DUPLICATE_KEY, "`a`", "policy.yaml:3:3"),
            at(4, 14, Code.UNKNOWN_NAME, "`z`"),
            at(5, 1, Code.DUPLICATE_KEY, "`version`", "policy.yaml:1:1"),
            at(5, 10, Code.VERSION, "`2`"),
        ),
    ),
]

DEPTH = 10_000_000
NESTING = [
    Broken("10 MB of [", "[" * DEPTH, (at(1, 65, Code.NESTING, "64 levels"),)),
    Broken("10 MB of {", "{" * DEPTH, (at(1, 65, Code.NESTING, "64 levels"),)),
    Broken("10 MB of {a:", "{a: " * (DEPTH // 4), (at(1, 257, Code.NESTING, "64 levels"),)),
    Broken("10 MB of -", "- " * (DEPTH // 2), (at(1, 129, Code.NESTING, "64 levels"),)),
    Broken("10 MB of ?", "? " * (DEPTH // 2), (at(1, 129, Code.NESTING, "64 levels"),)),
    Broken(
        "10 MB of anchors",
        "&a " * (DEPTH // 3),
        (at(1, 1, Code.UNSUPPORTED_YAML, "&a"), at(1, 4, Code.SYNTAX, "not YAML")),
    ),
    Broken("10 MB of [ as JSON", "[" * DEPTH, (at(1, 65, Code.NESTING, "64 levels"),), main="p.json"),
    Broken(
        '10 MB of {"a": as JSON',
        '{"a":' * (DEPTH // 5),
        (at(1, 321, Code.NESTING, "64 levels"),),
        main="p.json",
    ),
    Broken("10 MB of one word", "version: " + "1" * DEPTH, (at(1, 10, Code.VERSION, "...`"),)),
    Broken(
        "10 MB of a number as JSON",
        '{"version": ' + "1" * DEPTH + "}",
        (at(1, 13, Code.VERSION, "...`"),),
        main="p.json",
    ),
    Broken(
        "64 MiB and a byte", b"#" * (64 * 1024 * 1024 + 1), (at(1, 1, Code.TOO_LARGE, "64 MiB", "include"),)
    ),
]

JSON = [
    Broken("empty JSON", "", (at(1, 1, Code.EMPTY, "no policy"),), main="p.json"),
    Broken("white space", " \n\t ", (at(1, 1, Code.EMPTY, "no policy"),), main="p.json"),
    Broken("null", "null", (at(1, 1, Code.EMPTY, "no policy"),), main="p.json"),
    Broken(
        "YAML in a .json",
        "version: 1\n",
        (at(1, 1, Code.SYNTAX, "`version`", "double quotes"),),
        main="p.json",
    ),
    Broken("comment", '{"version": 1} // x', (at(1, 16, Code.SYNTAX, "end of the file"),), main="p.json"),
    Broken("trailing comma", '{"version": 1,\n}', (at(2, 1, Code.SYNTAX, "comma"),), main="p.json"),
    Broken("trailing comma in list", '{"hosts": [1,]}', (at(1, 14, Code.SYNTAX, "comma"),), main="p.json"),
    Broken("no colon", '{"version" 1}', (at(1, 12, Code.SYNTAX, "colon"),), main="p.json"),
    Broken("no comma", '{"version": 1\n "hosts": {}}', (at(2, 2, Code.SYNTAX, "comma"),), main="p.json"),
    Broken("unclosed", '{"version": 1', (at(1, 14, Code.SYNTAX, "file ends", "`}`"),), main="p.json"),
    Broken("wrong bracket", '{"version": [1}', (at(1, 15, Code.SYNTAX, "`]`"),), main="p.json"),
    Broken("unclosed text", '{"a": "b\n}', (at(1, 7, Code.SYNTAX, "closing quote"),), main="p.json"),
    Broken("no such escape", '{"a": "b\\x"}', (at(1, 9, Code.SYNTAX, "escape"),), main="p.json"),
    Broken(
        "lone surrogate",
        '{"\\ud800": 1}',
        (at(1, 1, Code.MISSING_KEY, "version"), at(1, 2, Code.CHARACTER, "U+D800")),
        main="p.json",
    ),
    Broken("leading zero", '{"version": 01}', (at(1, 13, Code.SYNTAX, "`01`"),), main="p.json"),
    Broken("not a number", '{"version": NaN}', (at(1, 13, Code.SYNTAX, "`NaN`"),), main="p.json"),
    Broken(
        "bare word", "{version: 1}", (at(1, 2, Code.SYNTAX, "`version`", "quote every key"),), main="p.json"
    ),
    Broken("single quotes", "{'version': 1}", (at(1, 2, Code.SYNTAX, "quote every key"),), main="p.json"),
    Broken(
        "types",
        '{"version": "1",\r\n "groups": {"group:a": [null, 3.5, ["b"]]},\r\n "tests": true}',
        (
            at(1, 13, Code.VERSION, "text, not a number"),
            at(2, 25, Code.TYPE, "nothing"),
            at(2, 36, Code.TYPE, "a list"),
            at(3, 11, Code.TYPE, "a test should be a mapping"),
        ),
        main="p.json",
    ),
]

STRUCTURE = [
    Broken("no version", "groups: {}\n", (at(1, 1, Code.MISSING_KEY, "`version`", "version: 1"),)),
    Broken("version 2", "version: 2\n", (at(1, 10, Code.VERSION, "`2`", "version: 1"),)),
    Broken("version 1.0", "version: 1.0\n", (at(1, 10, Code.VERSION, "`1.0`"),)),
    Broken("version 0x1", "version: 0x1\n", (at(1, 10, Code.VERSION, "`0x1`"),)),
    Broken("quoted version", "version: '1'\n", (at(1, 10, Code.VERSION, "quotes"),)),
    Broken("version list", "version: [1]\n", (at(1, 10, Code.VERSION, "a list"),)),
    Broken(
        "unknown keys at every level",
        HEAD + "groop: {}\npolicies:\n  a: {alow: [], permit: []}\n"
        "tests:\n  - {as: a, to: 10.0.0.1, service: icmp, expect: deny, port: 2}\n"
        "assertions:\n  - nevr: {as: a, to: 10.0.0.1}\n  - never: {as: a, to: 10.0.0.1, authd: true}\n",
        (
            at(2, 1, Code.UNKNOWN_KEY, "`groop`", "did you mean `groups`?"),
            at(4, 7, Code.UNKNOWN_KEY, "`alow`", "did you mean `allow`?"),
            at(4, 17, Code.UNKNOWN_KEY, "`permit`", "allow, mfa, deny"),
            at(6, 56, Code.UNKNOWN_KEY, "`port`"),
            at(8, 5, Code.UNKNOWN_KEY, "`nevr`", "did you mean `never`?"),
            at(9, 34, Code.UNKNOWN_KEY, "`authd`", "did you mean `authed`?"),
        ),
    ),
    Broken(
        "wrong types at every level",
        HEAD + "groups: [a]\nhosts: wiki\nservices:\npolicies:\n  a: [x]\n  b: {allow: {x: y}, deny: }\n"
        "  c: {mfa: [[x], {y: z}, ~]}\ntests: {as: b}\nassertions: [never, {never: [a]}]\n"
        "tunnel: {a: b}\ninclude: {a: b}\n",
        (
            at(2, 9, Code.TYPE, "`groups` should be a mapping", "a list"),
            at(3, 8, Code.TYPE, "`hosts` should be a mapping", "single value"),
            at(4, 10, Code.TYPE, "`services` should be a mapping", "nothing"),
            at(6, 6, Code.TYPE, "a mapping"),
            at(7, 14, Code.TYPE, "a mapping where a list should be"),
            at(7, 28, Code.TYPE, "nothing where a list should be", "leave the key out"),
            at(8, 13, Code.TYPE, "a rule should be a text", "a list"),
            at(8, 18, Code.TYPE, "a rule should be a text", "quotes"),
            at(8, 26, Code.TYPE, "a rule should be a text", "nothing"),
            at(9, 8, Code.TYPE, "a mapping where a list should be"),
            at(10, 14, Code.TYPE, "an assertion should be a mapping"),
            at(10, 29, Code.TYPE, "an assertion should be a mapping", "a list"),
            at(11, 9, Code.TYPE, "a mapping where a list should be"),
            at(12, 10, Code.TYPE, "a mapping where a list should be"),
        ),
    ),
    Broken(
        "names",
        HEAD
        + "groups:\n  admins: [a]\n  'group:': [b]\n  group:x y: [d]\n"
        + "  group:c: [c, group:d, '*', 'a b', -x, "
        + "y" * 64
        + ", \u00e9]\nhosts:\n  10.0.0.1: 10.0.0.9\n  tcp: 10.0.0.2\n  80: 10.0.0.3\n  'a b': 10.0.0.4\n"
        "services:\n  icmp: 80/tcp\n  22: 22/tcp\npolicies:\n  c: {}\n  group:z: {}\n  'Group:c': {}\n",
        (
            at(3, 3, Code.NAME, "`admins`", "write group:admins"),
            at(4, 3, Code.NAME, "`group:`"),
            at(5, 3, Code.NAME, "`group:x y`"),
            at(6, 13, Code.NAME_CLASH, "`c`", "group:c"),
            at(6, 16, Code.NAME, "`group:d` is a group"),
            at(6, 25, Code.NAME, "`*` is everyone"),
            at(6, 30, Code.NAME, "`a b`"),
            at(6, 37, Code.NAME, "`-x`"),
            at(6, 41, Code.NAME, "63 characters"),
            at(6, 107, Code.NAME, "`\u00e9`"),
            at(8, 3, Code.NAME, "`10.0.0.1`", "needs a letter"),
            at(9, 3, Code.NAME, "`tcp`", "word of the language"),
            at(10, 3, Code.NAME, "`80`"),
            at(11, 3, Code.NAME, "`a b`"),
            at(13, 3, Code.NAME, "`icmp`"),
            at(14, 3, Code.NAME, "`22`"),
            at(16, 3, Code.NAME_CLASH, "`c`", "group:c"),
            at(17, 3, Code.UNKNOWN_NAME, "`group:z`"),
            at(18, 3, Code.NAME, "`Group:c`"),
        ),
    ),
    Broken(
        "names for nothing",
        HEAD + "hosts: {a: [], b: ''}\nservices: {c: [], d: }\npolicies: {'*': {allow: ['a c', 'b', '']}}\n",
        (
            at(2, 12, Code.EMPTY, "`a` stands for nothing"),
            at(2, 19, Code.EMPTY, "empty text"),
            at(3, 15, Code.EMPTY, "`c` stands for nothing"),
            at(3, 22, Code.TYPE, "nothing"),
            at(4, 38, Code.EMPTY, "a rule is an empty text"),
        ),
    ),
    Broken(
        "service cycles",
        HEAD + "services:\n  a: [a]\n  b: [80/tcp, c]\n  c: [d]\n  d: [443/tcp, b, c]\n  e: [b]\n",
        (
            at(3, 7, Code.SERVICE_CYCLE, "a -> a"),
            at(4, 15, Code.SERVICE_CYCLE, "b -> c -> d -> b"),
            at(5, 7, Code.SERVICE_CYCLE, "c -> d -> c"),
        ),
    ),
    Broken(
        "unknown service in a service",
        HEAD + "services: {web: [80/tcp, htps], https: 443/tcp}\n",
        (at(2, 26, Code.UNKNOWN_NAME, "`htps`", "did you mean `https`?"),),
    ),
    Broken(
        "hosts",
        HEAD
        + "hosts:\n  a: 10.0.0.1\n"
        + "  b: [a, 10.0.0.2/40, fe80::1%eth0, nosuch, no.example.org, empty.example.org]\n",
        (
            at(4, 7, Code.NAME, "`a`", "do not contain each other"),
            at(4, 19, Code.PREFIX, "`40`", "0 to 32"),
            at(4, 30, Code.ADDRESS, "zone"),
            at(4, 37, Code.UNKNOWN_NAME, "`nosuch`"),
            at(4, 45, Code.DNS, "`no.example.org`", "no such name"),
            at(4, 61, Code.DNS, "`empty.example.org`", "no address"),
        ),
    ),
    Broken(
        "tunnel",
        HEAD + "tunnel: [10.9.0.0/16, 10.9.1.0/24, 10.10.0.0/33, wiki, '', 10.9.0.0/16]\n",
        (
            at(2, 23, Code.OVERLAP, "10.9.1.0/24 overlaps 10.9.0.0/16 at policy.yaml:2:10"),
            at(2, 46, Code.PREFIX, "`33`"),
            at(2, 50, Code.ADDRESS, "`wiki`"),
            at(2, 56, Code.EMPTY, "empty text"),
            at(2, 60, Code.OVERLAP, "policy.yaml:2:10"),
            at(2, 60, Code.OVERLAP, "policy.yaml:2:23"),
        ),
    ),
]

RULES = [
    Broken("port 0", rule("10.0.0.1 0/tcp"), (at(4, 23, Code.PORT, "port 0"),)),
    Broken("port 65536", rule("10.0.0.1 65536/tcp"), (at(4, 23, Code.PORT, "`65536`", "65535"),)),
    Broken("huge port", rule("10.0.0.1 " + "9" * 5000 + "/tcp"), (at(4, 23, Code.PORT, "no port"),)),
    Broken("port with leading zero", rule("10.0.0.1 022/tcp"), (at(4, 23, Code.PORT, "leading zeros"),)),
    Broken("negative port", rule("10.0.0.1 -1/tcp"), (at(4, 23, Code.PORT, "no port"),)),
    Broken("port in other digits", rule("10.0.0.1 \u0662\u0662/tcp"), (at(4, 23, Code.PORT, "no port"),)),
    Broken("reversed range", rule("10.0.0.1 90-80/tcp"), (at(4, 23, Code.PORT, "backwards", "80-90/tcp"),)),
    Broken("range to 70000", rule("10.0.0.1 80-70000/tcp"), (at(4, 26, Code.PORT, "`70000`"),)),
    Broken("half a range", rule("10.0.0.1 80-/tcp"), (at(4, 26, Code.PORT, "``"),)),
    Broken("no port", rule("10.0.0.1 /tcp"), (at(4, 23, Code.PORT, "``"),)),
    Broken("two slashes", rule("10.0.0.1 80/tcp/udp"), (at(4, 26, Code.PROTOCOL, "`tcp/udp`"),)),
    Broken("port alone", rule("10.0.0.1 22"), (at(4, 23, Code.SERVICE, "lacks its protocol", "`22/tcp`"),)),
    Broken("protocol first", rule("10.0.0.1 tcp/22"), (at(4, 27, Code.PROTOCOL, "write 22/tcp"),)),
    Broken("capital protocol", rule("10.0.0.1 22/TCP"), (at(4, 26, Code.PROTOCOL, "write 22/tcp"),)),
    Broken("unknown protocol", rule("10.0.0.1 22/quic"), (at(4, 26, Code.PROTOCOL, "`quic`"),)),
    Broken("port of ICMP", rule("10.0.0.1 8/icmp"), (at(4, 25, Code.PROTOCOL, "`icmp` alone"),)),
    Broken("proto/256", rule("10.0.0.1 proto/256"), (at(4, 29, Code.PROTOCOL, "`256`", "255"),)),
    Broken("proto/tcp", rule("10.0.0.1 proto/tcp"), (at(4, 29, Code.PROTOCOL, "`tcp`"),)),
    Broken("proto/", rule("10.0.0.1 proto/"), (at(4, 23, Code.PROTOCOL, "0 to 255"),)),
    Broken("any alone", rule("10.0.0.1 any"), (at(4, 23, Code.SERVICE, "everything", "tcp udp sctp"),)),
    Broken("commas", rule("10.0.0.1 80/tcp,443/tcp"), (at(4, 26, Code.PROTOCOL, "`tcp,443/tcp`"),)),
    Broken("comma after a name", rule("10.0.0.1 tcp, udp"), (at(4, 23, Code.SERVICE, "spaces, not commas"),)),
    Broken("unknown service", rule("10.0.0.1 web"), (at(4, 23, Code.UNKNOWN_NAME, "`web`"),)),
    Broken(
        "service first",
        rule("22/tcp 10.0.0.1"),
        (at(4, 14, Code.ADDRESS, "destination first"), at(4, 21, Code.UNKNOWN_NAME, "`10.0.0.1`")),
    ),
    Broken(
        "unknown host", rule("wiki"), (at(4, 14, Code.UNKNOWN_NAME, "`wiki`", "define it under `hosts`"),)
    ),
    Broken("everywhere", rule("* 53/udp"), (at(4, 14, Code.UNKNOWN_NAME, "0.0.0.0/0", "::/0"),)),
    Broken("URL", rule("https://wiki.example.org"), (at(4, 14, Code.UNKNOWN_NAME, "URL", "443/tcp"),)),
    Broken("three octets", rule("10.0.0/24"), (at(4, 14, Code.ADDRESS, "four numbers"),)),
    Broken("octet 256", rule("10.0.256.1"), (at(4, 19, Code.ADDRESS, "`256`", "0 to 255"),)),
    Broken("octet with leading zero", rule("10.0.010.1"), (at(4, 19, Code.ADDRESS, "octal", "write 10"),)),
    Broken("double zero", rule("10.0.00.1"), (at(4, 19, Code.ADDRESS, "octal", "write 0"),)),
    Broken("empty octet", rule("10..0.1"), (at(4, 17, Code.ADDRESS, "``"),)),
    Broken("hexadecimal octet", rule("0x0a.0.0.1"), (at(4, 14, Code.UNKNOWN_NAME, "`0x0a.0.0.1`"),)),
    Broken("inet_aton form", rule("127.0x1"), (at(4, 14, Code.UNKNOWN_NAME, "`127.0x1`"),)),
    Broken("/33", rule("10.0.0.0/33"), (at(4, 23, Code.PREFIX, "`33`", "0 to 32"),)),
    Broken("/-1", rule("10.0.0.0/-1"), (at(4, 23, Code.PREFIX, "`-1`"),)),
    Broken("/08", rule("10.0.0.0/08"), (at(4, 23, Code.PREFIX, "`08`"),)),
    Broken("/ and nothing", rule("10.0.0.0/"), (at(4, 22, Code.PREFIX, "``"),)),
    Broken("huge length", rule("10.0.0.0/" + "1" * 5000), (at(4, 23, Code.PREFIX, "no prefix length"),)),
    Broken("netmask", rule("10.0.0.0/255.0.0.0"), (at(4, 23, Code.PREFIX, "netmask"),)),
    Broken("/129", rule("fd00::/129"), (at(4, 21, Code.PREFIX, "`129`", "0 to 128"),)),
    Broken("two double colons", rule("fd00::1::2"), (at(4, 14, Code.ADDRESS, "no IPv6 address"),)),
    Broken("nine groups", rule("1:2:3:4:5:6:7:8:9"), (at(4, 14, Code.ADDRESS, "no IPv6 address"),)),
    Broken("port after a colon", rule("10.0.0.5:443"), (at(4, 14, Code.ADDRESS, "fd00::1 443/tcp"),)),
    Broken("brackets", rule("[fd00::1]"), (at(4, 14, Code.ADDRESS, "no IPv6 address"),)),
    Broken("zone", rule("fe80::1%eth0"), (at(4, 21, Code.ADDRESS, "zone"),)),
    Broken(
        "mapped address", rule("::ffff:10.0.0.1"), (at(4, 14, Code.ADDRESS, "write it as IPv4: 10.0.0.1"),)
    ),
    Broken("mapped prefix", rule("::ffff:10.0.0.0/104"), (at(4, 14, Code.ADDRESS, "IPv4"),)),
    Broken("all mapped", rule("::ffff:0:0/96"), (at(4, 14, Code.ADDRESS, "IPv4"),)),
    Broken("mapped by masking", rule("0:0:0:0:0:ffff::/96"), (at(4, 14, Code.ADDRESS, "IPv4"),)),
    Broken(
        "DNS name without address", rule("no.example.org 80/tcp"), (at(4, 14, Code.DNS, "`no.example.org`"),)
    ),
    Broken("DNS label too long", rule("a" * 64 + ".org"), (at(4, 14, Code.UNKNOWN_NAME, "no host"),)),
    Broken("not a DNS name", rule("b\u00fccher.example"), (at(4, 14, Code.UNKNOWN_NAME, "no host"),)),
    Broken("no-break space", rule("10.0.0.1\u00a022/tcp"), (at(4, 21, Code.ADDRESS, "`1\\xa022`"),)),
    Broken(
        "several errors in one rule, in an escaped text",
        'version: 1\ninbound:\n  "*":\n    deny: ["\\x77iki 0/tcp\\t5"]\n',
        (
            at(4, 12, Code.PORT, "port 0"),
            at(4, 12, Code.SERVICE, "`5`"),
            at(4, 12, Code.UNKNOWN_NAME, "`wiki`"),
        ),
    ),
]

CLAIMS = [
    Broken(
        "tests",
        HEAD
        + "groups: {group:g: [a]}\nservices: {web: [80/tcp, 443/tcp]}\nhosts: {lab: 10.1.0.0/16}\ntests:\n"
        "  - {as: a, to: 10.0.0.1, service: 80/tcp}\n"
        "  - {as: group:g, to: 10.0.0.1, service: web, expect: deny}\n"
        "  - {as: '*', to: lab, service: 1-2/tcp, expect: block}\n"
        "  - {as: a, service: 80/any, expect: deny}\n"
        "  - {as: a, to: 10.0.0.1, from: 10.0.0.2, service: tcp, expect: deny}\n"
        "  - {as: g, to: lap, service: proto/6, expect: deny}\n"
        "  - alice\n",
        (
            at(6, 5, Code.MISSING_KEY, "`expect`"),
            at(7, 10, Code.NAME, "is a group"),
            at(7, 42, Code.SERVICE, "more than one service"),
            at(8, 10, Code.NAME, "everyone"),
            at(8, 19, Code.CLAIM, "more than one address"),
            at(8, 33, Code.SERVICE, "more than one service"),
            at(8, 50, Code.TYPE, "`block`", "allow, mfa, deny"),
            at(9, 5, Code.MISSING_KEY, "`to`"),
            at(9, 22, Code.SERVICE, "more than one service"),
            at(10, 27, Code.CLAIM, "exclude each other"),
            at(10, 52, Code.SERVICE, "more than one service"),
            at(11, 10, Code.NAME_CLASH, "group:g"),
            at(11, 17, Code.UNKNOWN_NAME, "did you mean `lab`?"),
            at(11, 31, Code.SERVICE, "more than one service"),
            at(12, 5, Code.TYPE, "a test should be a mapping"),
        ),
    ),
    Broken(
        "assertions",
        HEAD + "groups: {group:g: [a]}\nassertions:\n"
        "  - {}\n"
        "  - {never: {as: a, to: 10.0.0.1}, always: {as: a, to: 10.0.0.1}}\n"
        "  - never: {to: 10.0.0.1}\n"
        "  - never: {as: group:h, to: []}\n"
        "  - only: {as: '*', to: 10.0.0.1}\n"
        "  - always: {as: a, to: [10.0.0.1, 10.0.0.300], service: [], authed: maybe}\n"
        "  - always: {as: a}\n"
        "  - always: {as: a, to: 10.0.0.1, service: 80}\n",
        (
            at(4, 5, Code.CLAIM, "makes 0"),
            at(5, 5, Code.CLAIM, "makes 2"),
            at(6, 12, Code.MISSING_KEY, "`as`"),
            at(7, 17, Code.UNKNOWN_NAME, "`group:h`"),
            at(7, 30, Code.EMPTY, "claim nothing"),
            at(8, 16, Code.CLAIM, "leaves nobody"),
            at(9, 43, Code.ADDRESS, "`300`"),
            at(9, 58, Code.EMPTY, "claim nothing"),
            at(9, 70, Code.TYPE, "`maybe`", "true, false"),
            at(10, 13, Code.MISSING_KEY, "`to`", "[0.0.0.0/0, ::/0]"),
            at(11, 44, Code.SERVICE, "lacks its protocol"),
        ),
    ),
]


def fresh(text: str, action: str = "mfa") -> str:
    """A policy whose only rule is `text`, under an action, after whose bracket and quote it starts."""
    return f'version: 1\npolicies:\n  "*":\n    {action}: ["{text}"]\n'


FRESHNESS = [
    Broken(
        "within under allow",
        fresh("10.0.0.1 within 15m", "allow"),
        (at(4, 23, Code.FRESHNESS, "`allow` rules ask for none", "`mfa`"),),
    ),
    Broken(
        "within under deny",
        fresh("10.0.0.1 22/tcp within 15m", "deny"),
        (at(4, 29, Code.FRESHNESS, "`deny` rules ask for none", "leave `within`"),),
    ),
    Broken(
        "within without a duration",
        fresh("10.0.0.1 22/tcp within"),
        (at(4, 28, Code.FRESHNESS, "has no duration", "like 30s, 15m"),),
    ),
    Broken(
        "within zero", fresh("10.0.0.1 within 0m"), (at(4, 28, Code.FRESHNESS, "as that", "at least 1s"),)
    ),
    Broken(
        "within too long",
        fresh("10.0.0.1 within 30d1s"),
        (at(4, 28, Code.FRESHNESS, "longer than 30d", "at most 30d"),),
    ),
    Broken(
        "within no duration",
        fresh("10.0.0.1 within soon"),
        (at(4, 28, Code.FRESHNESS, "`soon` is no duration", "write it like"),),
    ),
    Broken(
        "within a number",
        fresh("10.0.0.1 within 15"),
        (at(4, 28, Code.FRESHNESS, "`15` is no duration"),),
    ),
    Broken(
        "within twice",
        fresh("10.0.0.1 within 15m within 1h"),
        (at(4, 32, Code.FRESHNESS, "twice", "the shorter duration"),),
    ),
    Broken(
        "within before a service",
        fresh("10.0.0.1 within 15m 22/tcp"),
        (at(4, 32, Code.FRESHNESS, "end a rule", "services before"),),
    ),
    Broken(
        "within as the destination",
        fresh("within 15m"),
        (at(4, 12, Code.FRESHNESS, "begins with its destination", "before `within`"),),
    ),
    Broken(
        "within in capitals",
        fresh("10.0.0.1 Within 15m"),
        (at(4, 21, Code.FRESHNESS, "small letters"), at(4, 28, Code.UNKNOWN_NAME, "`15m`")),
    ),
    Broken(
        "a host and a service named within",
        HEAD + "hosts: {within: 10.0.0.1}\nservices: {within: 22/tcp}\n",
        (
            at(2, 9, Code.NAME, "`within` is a word of the language"),
            at(3, 12, Code.NAME, "`within` is a word of the language"),
        ),
    ),
    Broken(
        "within in an assertion's service",
        HEAD + "assertions:\n  - never: {as: a, to: 10.0.0.1, service: 22/tcp within 15m}\n",
        (at(3, 50, Code.FRESHNESS, "stands in `mfa` rules", "leave it out"), at(3, 57, Code.UNKNOWN_NAME)),
    ),
]

CASES = [*SYNTAX, *NESTING, *JSON, *STRUCTURE, *RULES, *CLAIMS, *FRESHNESS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_error_is_reported_at_its_place(case: Broken) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(case.text, case.main, case.files, resolver=RESOLVER)
    found = caught.value.errors
    assert [(d.position.line, d.position.column, d.code) for d in found] == [e[:3] for e in case.errors], str(
        caught.value
    )[:4000]
    for diagnostic, (*_, words) in zip(found, case.errors, strict=True):
        assert diagnostic.position.file == case.main
        assert diagnostic.severity is Severity.ERROR
        assert diagnostic.remedy
        for word in words:
            assert word in f"{diagnostic.message} {diagnostic.remedy}"
    assert len(str(caught.value)) < 2_000 * len(caught.value.diagnostics), "shows too much of a long line"


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
