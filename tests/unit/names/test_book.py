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
        self.takes = 0.0
        self.file = folder / "names.json"

    def book(self, boot: str = "this") -> NameBook:
        return NameBook(
            self.file,
            boot=boot,
            shortest=30,
            grace=300,
            own=[ip_address("10.9.0.1")],
            lookup=self.look_up,
            now=lambda: self.now,
        )

    def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        self.now += self.takes
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
    assert book.next_due({"a.example"}) == 1_120
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
    assert book.next_due({"a.example"}) == 1_030


def test_an_address_that_goes_is_kept_for_the_grace_period(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    names.now, names.answers["a.example"] = 1_060, ({"10.0.0.9"}, 3_600)
    assert book.refresh({"a.example"})
    assert shown(book) == ["10.0.0.1", "10.0.0.9"]
    assert book.next_due({"a.example"}) == 1_360
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
    assert book.next_due({"a.example"}) == 5_030
    assert "a.example cannot be resolved, and keeps its addresses" in caplog.text


def test_a_name_that_never_had_an_answer_is_an_error(names: Names) -> None:
    with pytest.raises(ResolveError):
        names.book()("a.example")


def test_what_goes_on_failing_is_told_once_and_known_until_it_works(
    names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    answer = names.answers.pop("a.example")
    for _ in range(3):
        names.now += 100
        book.refresh({"a.example"})
    assert caplog.text.count("cannot be resolved") == 1
    assert book.failing == {"a.example": "no such name"}
    names.answers["a.example"] = answer
    names.now += 100
    assert not book.refresh({"a.example"})
    assert book.failing == {}


def test_answers_outlive_the_process_and_are_asked_again_at_once(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    names.book()("a.example")
    names.answers.clear()
    book = names.book()
    assert shown(book) == ["10.0.0.1"]
    assert book.next_due({"a.example"}) <= names.now


def moved(names: Names) -> NameBook:
    """A book whose name has left an address at 1,060, which is kept until 1,360."""
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    names.now, names.answers["a.example"] = 1_060, ({"10.0.0.9"}, 3_600)
    assert book.refresh({"a.example"})
    return book


def test_a_restart_prolongs_no_grace_period(names: Names) -> None:
    moved(names)
    names.answers.clear()
    names.now = 1_300
    book = names.book()
    assert shown(book) == ["10.0.0.1", "10.0.0.9"]
    names.now = 1_359
    assert not book.refresh({"a.example"})
    names.now = 1_360
    assert book.refresh({"a.example"})
    assert shown(book) == shown(names.book()) == ["10.0.0.9"]


def test_grace_periods_are_over_with_a_reboot(names: Names) -> None:
    moved(names)
    names.answers.clear()
    names.now = 10
    assert shown(names.book("another")) == ["10.0.0.9"]


def test_what_is_over_goes_before_anybody_is_asked(names: Names) -> None:
    book = moved(names)
    names.asked.clear()
    names.now = 100_000
    assert book.refresh({"a.example"})
    assert names.asked == []
    assert shown(book) == ["10.0.0.9"]
    book.refresh({"a.example"})
    assert names.asked == ["a.example"]


def test_many_names_that_nobody_answers_for_do_not_hold_up_the_rest(names: Names) -> None:
    every = {f"{number}.example" for number in range(100)}
    names.answers = dict.fromkeys(every, ({"10.0.0.1"}, 60))
    book = names.book()
    for name in every:
        book(name)
    names.now = 5_000
    names.asked.clear()
    names.takes = 4.0
    names.answers.clear()
    book.refresh(every)
    assert len(names.asked) == 2
    # Those that are left come first, the others when it is their turn again.
    while names.now < 5_060:
        book.refresh(every)
    assert len(set(names.asked)) == len(names.asked) >= 14


def test_names_that_no_rule_has_are_forgotten(names: Names) -> None:
    names.answers = {"a.example": ({"10.0.0.1"}, 60), "b.example": ({"10.0.0.2"}, 60)}
    book = names.book()
    book("a.example")
    book("b.example")
    book.forget_others({"b.example"})
    names.now = 2_000
    book.refresh({"b.example"})
    assert names.asked.count("a.example") == 1
    names.answers.clear()
    with pytest.raises(ResolveError):
        book("a.example")


def test_a_name_that_is_forgotten_while_somebody_asks_is_answered(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    write = book._write

    def forgotten() -> None:
        write()
        book.forget_others(())

    book._write = forgotten  # type: ignore[method-assign]
    assert shown(book) == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("addresses", "cause"),
    [
        (set(), "no address"),
        ({"10.0.0.1", "10.9.0.1"}, "gateway's own address 10.9.0.1"),
        ({f"10.1.{number >> 8}.{number & 255}" for number in range(257)}, "257 addresses, and 256 are taken"),
    ],
)
def test_an_answer_that_cannot_be_meant_is_none(names: Names, addresses: set[str], cause: str) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    names.answers["a.example"] = addresses, 60
    names.now = 2_000
    assert not book.refresh({"a.example"})
    assert shown(book) == ["10.0.0.1"]
    assert cause in book.failing["a.example"]


def test_a_book_that_is_closed_asks_nobody(names: Names) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    book = names.book()
    book("a.example")
    names.now = 2_000
    names.asked.clear()
    book.close()
    assert not book.refresh({"a.example", "b.example"})
    with pytest.raises(ResolveError, match="ending"):
        book("b.example")
    assert names.asked == []
    assert shown(book) == ["10.0.0.1"]


def test_a_disk_without_room_costs_no_answer(names: Names, caplog: pytest.LogCaptureFixture) -> None:
    names.answers["a.example"] = {"10.0.0.1"}, 60
    names.file.with_name("names.json.new").mkdir()
    assert shown(names.book()) == ["10.0.0.1"]
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{}",
        '{"a.example": ["10.0.0.1"]}',
        '{"boot": "this", "names": []}',
        '{"boot": "this", "names": {"a.example": {}}}',
        '{"boot": "this", "names": {"a.example": {"10.0.0.1": 5000}}}',
        '{"boot": "this", "names": {"a.example": {"x": null}}}',
        '{"boot": "this", "names": {"a.example": {"10.0.0.1": "x"}}}',
        '{"boot": "this", "names": {"a.example": 1}}',
    ],
)
def test_a_damaged_file_is_told_and_costs_nothing_but_questions(
    names: Names, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "names.json").write_text(damage)
    names.answers["a.example"] = {"10.0.0.1"}, 60
    assert shown(names.book()) == ["10.0.0.1"]
    assert "cannot be read" in caplog.text
