"""`wardgate inspect`: options, output, exit statuses."""

from __future__ import annotations

import json

import pytest
from wardgate.cli.main import main

STATUS = {"fine": 0, "usage": 2, "system": 3}


@pytest.fixture(scope="module")
def artefact(office, tmp_path_factory):
    path = tmp_path_factory.mktemp("artefact") / "office.o"
    path.write_bytes(office.data)
    return str(path)


def test_the_summary_is_the_default(artefact, capsys):
    assert main(["inspect", artefact]) == STATUS["fine"]
    assert capsys.readouterr().out.startswith("office.o: policy ")


def test_parts_come_in_the_order_of_the_options(artefact, capsys):
    options = ["--listing", "--maps", "--table", "reach", "--function", "session_of"]
    assert main(["inspect", artefact, *options]) == STATUS["fine"]
    text = capsys.readouterr().out
    places = [text.index(words) for words in ("<session_of>:", "devices: array", "reach: what reach says")]
    assert places == sorted(places)
    assert "<gate_ingress>:" not in text


def test_one_document_has_all(artefact, capsys):
    options = ["--listing", "--maps", "--table", "judge", "--table", "protocols", "--json"]
    assert main(["inspect", artefact, *options]) == STATUS["fine"]
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert len(document["listing"]) == len(document["programs"]) + len(document["functions"])
    assert [one["name"] for one in document["decoded"]] == ["judge", "protocols"]
    assert document["decoded"][1]["raw"][0]["first"] == 0
    assert {one["name"] for one in document["layouts"]["maps"]} == {one["name"] for one in document["maps"]}
    assert document["cfg"] is document["html"] is None


def test_what_is_documented_is_there(artefact, capsys, repository):
    page = (repository / "docs" / "json.md").read_text()
    section = page.split("\n## inspect\n")[1].split("\n## ")[0]
    main(["inspect", artefact, "--json"])
    keys = set(json.loads(capsys.readouterr().out)) - {"ok"}
    assert {key for key in keys if f"`{key}`" not in section} == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--table", "nothing"], "has no table 'nothing'"),
        (["--function", "nothing", "--listing"], "has no function 'nothing'"),
        (["--nothing"], "No such option"),
    ],
)
def test_usage(artefact, capsys, options, words):
    assert main(["inspect", artefact, *options]) == STATUS["usage"]
    assert words in capsys.readouterr().err


def test_what_is_no_artefact(tmp_path, capsys):
    path = tmp_path / "x.o"
    path.write_text("nothing")
    assert main(["inspect", str(path)]) == STATUS["system"]
    assert "no ELF object" in capsys.readouterr().err


@pytest.mark.tool("dot")
def test_graphs_are_files(artefact, tmp_path, capsys):
    path = tmp_path / "out.svg"
    assert main(["inspect", artefact, "--cfg", str(path)]) == STATUS["fine"]
    assert "gate_ingress: " in path.read_text()
    assert main(["inspect", artefact, "--cfg", str(path), "--function", "look_up"]) == STATUS["fine"]
    assert "look_up: " in path.read_text().replace("&#45;", "-")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "written" in captured.err


def test_without_graphviz(artefact, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["inspect", artefact, "--cfg", str(tmp_path / "out.svg")]) == STATUS["system"]
    assert "apt install graphviz" in capsys.readouterr().err
    assert not (tmp_path / "out.svg").exists()
    path = tmp_path / "out.html"
    assert main(["inspect", artefact, "--html", str(path), "--json"]) == STATUS["fine"]
    assert json.loads(capsys.readouterr().out)["html"] == str(path)
    assert path.read_text().startswith("<!DOCTYPE html>")
