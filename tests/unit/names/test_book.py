"""Names: asked again by TTL, kept for a grace period, and through failures and restarts."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from wardgate.gateway.compiling.resolving import ResolveError
from wardgate.gateway.names import Answer, NameBook


class Names:
    """A name server and a clock of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000.0
        self.asked: list[str] = []
        self.answers: dict[str, tuple[set[str], int]] = {}
        self._file = folder / "names.json"

    def book(self) -> NameBook:
        return NameBook(self._file, shortest=30, grace=300, lookup=self.look_up, now=lambda: self.now)

    def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        if name not in self.answers:
            raise ResolveError("no such name")
        addresses, ttl = self.answers[name]
        return Answer(frozenset(map(ip_address, addresses)), ttl)


@pytest.fixture
def names(tmp_path: Path) -> Names:
    return Names(tmp_path)


def shown(book: NameBook, name: str = "a.example") -> list[str]:
    return list(map(str, book(name)))


def test_a_name_is_asked_once_until_its_answer_is_old(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.2", "fd00::1", "10.0.0.1"}, 120
    book = names.book()
    assert shown(book) == ["10.0.0.1", "10.0.0.2", "fd00::1"]
    assert book.next_due() == 1_120
    names.now = 1_119
    assert not book.refresh({"a.example"})
    assert names.asked == ["a.example"]
    names.now = 1_120
    assert not book.refresh({"a.example"})
    assert names.asked == ["a.example"] * 2


def test_a_short_ttl_is_not_taken_at_its_word(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 0
    book = names.book()
    book("a.example")
    assert book.next_due() == 1_030


def test_an_address_that_goes_is_kept_for_the_grace_period(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    names.now, names.answers["a.example"] = 1_060, ({"10.0.0.9"}, 3_600)
    assert book.refresh({"a.example"})
    assert shown(book) == ["10.0.0.1", "10.0.0.9"]
    assert book.next_due() == 1_360
    names.now = 1_359
    assert not book.refresh({"a.example"})
    names.now = 1_360
    assert book.refresh({"a.example"})
    assert shown(book) == ["10.0.0.9"]


def test_an_address_that_comes_back_stays(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    for now, addresses in ((1_060, {"10.0.0.9"}), (1_120, {"10.0.0.1"})):
        names.now, names.answers["a.example"] = now, (addresses, 60)
        book.refresh({"a.example"})
    names.now = 1_420
    book.refresh({"a.example"})
    assert shown(book) == ["10.0.0.1"]


def test_a_name_that_fails_keeps_its_answer_and_is_asked_again_soon(
    names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    names.answers.clear()
    names.now = 5_000
    assert not book.refresh({"a.example"})
    assert shown(book) == ["10.0.0.1"]
    assert book.next_due() == 5_030
    assert "a.example cannot be resolved, and keeps its addresses" in caplog.text


def test_a_name_that_never_had_an_answer_is_an_error(names: Names) -> None:
    with pytest.raises(ResolveError):
        names.book()("a.example")


def test_answers_outlive_the_process_and_are_asked_again_at_once(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    names.book()("a.example")
    names.answers.clear()
    book = names.book()
    assert shown(book) == ["10.0.0.1"]
    assert book.next_due() <= names.now


def test_names_that_no_rule_has_are_forgotten(names: Names) -> None:
    names.answers = {"a.example": ({"10.0.0.1"}, 60), "b.example": ({"10.0.0.2"}, 60)}
    book = names.book()
    book("a.example")
    book("b.example")
    names.now = 2_000
    book.refresh({"b.example"})
    assert names.asked.count("a.example") == 1


@pytest.mark.parametrize(
    "damage", ["", "[]", '{"a.example": []}', '{"a.example": ["x"]}', '{"a.example": 1}']
)
def test_a_damaged_file_is_told_and_costs_nothing_but_questions(
    names: Names, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "names.json").write_text(damage)
    names.answers["a.example"] = {"10.0.0.1"}, 60
    assert shown(names.book()) == ["10.0.0.1"]
    assert "cannot be read" in caplog.text
