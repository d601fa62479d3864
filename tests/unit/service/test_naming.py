"""Names are kept as the policy in force has them, and what fails is a problem as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
from wardgate.gateway.enforcement import Problems
from wardgate.gateway.service import naming
from wardgate.gateway.service.naming import UnresolvedError, keep_names


class Book:
    """A NameBook that does nothing; `refreshed` is called in place of asking."""

    def __init__(self, refreshed: Callable[[], bool]) -> None:
        self.failing: dict[str, str] = {}
        self.forgotten: list[Collection[str]] = []
        self._refreshed = refreshed

    def pause(self, _names: Collection[str]) -> float:
        return 0.0

    def forget_others(self, names: Collection[str]) -> None:
        self.forgotten.append(names)

    def refresh(self, _names: Collection[str]) -> bool:
        return self._refreshed()


class Keeper:
    """A PolicyKeeper of a policy with one name. `taken`: somebody changes the policy."""

    def __init__(self) -> None:
        self.taken = False
        self.turn = SimpleNamespace(locked=lambda: self.taken)
        self.composed = SimpleNamespace(names=["a.example"])
        self.changes = 0

    def changed(self, _revision: int, *, inputs: bool) -> None:
        assert inputs
        self.changes += 1


class EndError(Exception):
    """The test has seen what it wanted."""


def kept(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[Book, Keeper, Problems], bool]) -> None:
    """Keep names; each step is one look, and says whether addresses changed."""
    monkeypatch.setattr(naming, "_LEAST_S", 0.0)

    async def run() -> None:
        left = list(steps)

        def refreshed() -> bool:
            if not left:
                raise EndError
            return left.pop(0)(book, keeper, problems)

        async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
            return work(*arguments)

        book, keeper, problems = Book(refreshed), Keeper(), Problems()
        with pytest.raises(EndError):
            await keep_names(cast(Any, book), cast(Any, keeper), cast(Any, at_once), problems)

    asyncio.run(run())


def test_the_policy_follows_where_addresses_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(changed: bool, before: int) -> Callable[[Book, Keeper, Problems], bool]:
        def step(_book: Book, keeper: Keeper, _problems: Problems) -> bool:
            assert keeper.changes == before
            return changed

        return step

    kept(monkeypatch, look(False, 0), look(True, 0), look(False, 1), look(False, 1))


def test_names_of_a_policy_that_is_being_applied_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def free(book: Book, keeper: Keeper, _problems: Problems) -> bool:
        assert book.forgotten == [frozenset({"a.example"})]
        keeper.taken = True
        return False

    def taken(book: Book, keeper: Keeper, _problems: Problems) -> bool:
        assert len(book.forgotten) == 1
        keeper.taken = False
        return False

    def free_again(book: Book, _keeper: Keeper, _problems: Problems) -> bool:
        assert len(book.forgotten) == 2
        return False

    kept(monkeypatch, free, taken, free_again)


def test_what_fails_is_a_problem_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(book: Book, _keeper: Keeper, problems: Problems) -> bool:
        assert problems.now() == ()
        book.failing = {"a.example": "no name server answers"}
        return False

    def works(book: Book, _keeper: Keeper, problems: Problems) -> bool:
        (problem,) = problems.now()
        assert problem.part == "names"
        assert "a.example (no name server answers)" in problem.cause
        assert problem.remedy
        book.failing = {}
        return False

    def well(_book: Book, _keeper: Keeper, problems: Problems) -> bool:
        assert problems.now() == ()
        return False

    kept(monkeypatch, fails, works, well)


def test_of_many_names_that_fail_some_are_told() -> None:
    cause = UnresolvedError({f"{number}.example": "no such name" for number in range(1_205)}).cause
    assert "0.example (no such name)" in cause
    assert cause.endswith("1,200 more")
