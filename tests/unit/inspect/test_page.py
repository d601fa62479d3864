"""The page as a file: complete in itself, closed to what it shows, and as large as it may be."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace

import pytest
from wardgate.compiler.inspect.graph import cfg_svg
from wardgate.compiler.inspect.page import page
from wardgate.compiler.inspect.tables import read_tables
from wardgate.compiler.inspect.ways import MOST_RULES, Ways

HOSTILE = '</script><img src=x onerror="window.hurt=1">@@DATA@@]]>--><b>&amp;\''


@pytest.fixture
def no_graphs(monkeypatch):
    """As where there is no Graphviz, which takes most of the time that a page takes."""
    monkeypatch.setattr("wardgate.compiler.inspect.page.has_engine", lambda: False)


def data_of(text):
    packed = re.search(r'<script type="application/gzip" id="data">([^<]*)</script>', text)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_the_page_has_all_that_it_shows(office):
    found = data_of(page(office, "office.o"))
    assert [one["name"] for one in found["functions"]] == list(office.functions)
    assert sum(len(one["instructions"]) for one in found["functions"]) == len(list(office.instructions))
    assert [rule[6] for rule in found["rules"]] == [rule.text for rule in office.manifest.rules]
    assert all(file["whole"] for file in found["files"] if file["template"])
    assert {table["name"] for table in found["tables"]} == {"services", "route4", "route6", "reach", "judge"}
    assert len(found["graphs"]) in (0, len(office.functions))


@pytest.mark.usefixtures("no_graphs")
def test_the_page_asks_for_nothing(office):
    text = page(office, "office.o")
    outside = re.sub(r'id="data">[^<]*<', "<", text)
    assert not re.search(r"https?://|//cdn|@import|url\(|<link|<iframe|<img", outside)
    assert "@@" not in outside
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert f"default-src 'none'; script-src 'sha256-{digest}'" in text


@pytest.mark.usefixtures("no_graphs")
def test_the_same_artefact_gives_the_same_page(office):
    assert page(office, "office.o") == page(office, "office.o")


@pytest.mark.usefixtures("no_graphs")
def test_names_of_files_are_no_markup(office):
    text = page(office, HOSTILE)
    assert HOSTILE not in text
    assert "<title>&lt;/script&gt;" in text
    assert data_of(text)["name"] == HOSTILE


@pytest.mark.usefixtures("no_graphs")
def test_a_template_that_is_another_now_is_not_shown_as_a_whole(office, monkeypatch):
    monkeypatch.setattr("wardgate.compiler.inspect.page.read_template", lambda _name: "int other;\n" * 500)
    files = [file for file in data_of(page(office, "x"))["files"] if file["template"]]
    assert files
    assert not any(file["whole"] for file in files)
    known = {(one.origin.file, one.origin.line, one.origin.text) for _, one in office.instructions}
    assert {(file["name"], *line) for file in files for line in file["lines"]} == {
        one for one in known if one[0].startswith("bpf_templates/")
    }


def test_every_rule_that_decides_something_has_a_way(office):
    ways = Ways(office, read_tables(office.data)).of_rules()
    assert list(ways) == [rule.id for rule in office.manifest.rules]
    for rule in office.manifest.rules:
        way = ways[rule.id]
        assert way.passes is (rule.action != "deny")
        assert sum(map(len, way.executed.values())) <= way.steps
        assert 0 in way.executed["gate_egress" if rule.inbound else "gate_ingress"]


def test_datagrams_take_the_fast_path_as_segments_do(inspected):
    found = inspected("version: 1\npolicies: {'*': {allow: ['10.0.0.1 53/udp', '10.0.0.2 53/tcp']}}\n")
    ways = Ways(found, read_tables(found.data)).of_rules()
    assert "reason_of" in found.functions
    assert not any("reason_of" in way.executed for way in ways.values())


def test_a_rule_that_others_shadow_has_no_way(inspected):
    text = "version: 1\npolicies: {'*': {allow: ['10.0.0.1 80/tcp'], deny: ['10.0.0.1']}}\n"
    found = inspected(text)
    ways = Ways(found, read_tables(found.data)).of_rules()
    assert {found.manifest.rules[number - 1].action for number in ways} == {"deny"}


def test_rules_of_a_kind_share_a_way_where_there_are_many(inspected):
    count = MOST_RULES + 50
    rules = ", ".join(f"'10.0.{n // 200}.{n % 200} {n + 1}/tcp'" for n in range(count))
    found = inspected(f"version: 1\npolicies: {{'*': {{allow: [{rules}]}}}}\n")
    ways = Ways(found, read_tables(found.data)).of_rules()
    assert len(ways) == count
    assert len({id(way) for way in ways.values()}) == 1
    own = Ways(found, read_tables(found.data)).of_rule(found.manifest.rules[-1])
    assert own.executed == ways[1].executed, "and it is the way of each of them"


@pytest.mark.usefixtures("no_graphs")
def test_ten_thousand_rules_are_no_large_page(inspected):
    rules = ", ".join(f"'10.{n >> 12}.{n >> 4 & 255}.{n & 15} {n + 1}/tcp'" for n in range(10_000))
    found = inspected(f"version: 1\npolicies: {{'*': {{allow: [{rules}]}}}}\n")
    text = page(found, "large.o")
    assert len(data_of(text)["rules"]) == 10_000
    # Graphs are the same whatever the number of rules, and are less than a megabyte.
    assert len(text) < 4_000_000


@pytest.mark.tool("dot")
def test_a_graph_has_each_block_with_its_lines(office):
    function = office.functions["session_of"]
    svg = cfg_svg([function])
    for block in function.blocks:
        assert f'<g id="f0_{block.label}" class="node">' in svg
        for origin in block.origins[:5]:
            assert f"{origin.file.rpartition('/')[2]}:{origin.line}<" in svg.replace("&#45;", "-")
    assert svg.count('class="edge"') == sum(len(block.edges) for block in function.blocks)


@pytest.mark.tool("dot")
def test_text_in_a_graph_is_no_markup(office):
    function = office.functions["session_of"]
    block = function.blocks[0]
    bad = replace(block.instructions[0].origin, text=HOSTILE, file='x"];evil [label="\\')
    first = replace(block.instructions[0], origin=bad, text='"];\n\\" evil')
    changed = replace(block, instructions=(first, *block.instructions[1:]))
    hostile = replace(function, blocks=(changed, *function.blocks[1:]), name='a"b\\')
    svg = cfg_svg([hostile])
    assert "<script" not in svg
    assert "<img" not in svg
    assert svg.count("<g id=") == cfg_svg([function]).count("<g id=")
