"""Rows in memory keep what an open view sees, and nothing longer."""

import gc
import weakref

import pytest

from registry.memory.history import History, Lists, Rows


class Thing:
    """A value whose end can be seen."""

    def __init__(self, name: str) -> None:
        self.name = name


def is_kept(thing: "weakref.ref[Thing]") -> bool:
    gc.collect()
    return thing() is not None


def put(history: History, rows: Rows[str, Thing], name: str) -> "weakref.ref[Thing]":
    """Commit a thing under one key, and give a reference that does not keep it."""
    thing = Thing(name)
    history.commit([lambda: rows.put("key", thing)])
    return weakref.ref(thing)


def test_a_commit_that_raises_leaves_no_trace() -> None:
    history = History()
    rows: Rows[str, Thing] = Rows(history)
    lists: Lists[str, str] = Lists(history)
    old = put(history, rows, "old")

    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        history.commit(
            [
                lambda: rows.put("key", Thing("new")),
                lambda: rows.put("another", Thing("new")),
                lambda: rows.remove("key"),
                lambda: lists.add("key", "one"),
                lambda: lists.add("key", "two"),
                fail,
            ]
        )

    assert history.now == 1
    assert list(rows.all()) == [old()]
    assert lists.of("key") == []


def test_what_no_view_sees_is_forgotten_with_the_next_commit() -> None:
    history = History()
    rows: Rows[str, Thing] = Rows(history)
    old = put(history, rows, "old")

    new = put(history, rows, "new")

    assert not is_kept(old)
    assert is_kept(new)


def test_what_a_view_sees_is_kept_until_it_is_closed() -> None:
    history = History()
    rows: Rows[str, Thing] = Rows(history)
    old = put(history, rows, "old")
    view = history.view()
    between = put(history, rows, "between")
    put(history, rows, "new")

    seen = rows.get("key", view.moment)

    assert seen is not None
    assert seen.name == "old"
    del seen
    view.close()
    put(history, rows, "newest")
    assert not is_kept(old)
    assert not is_kept(between)


def test_a_row_that_was_removed_is_seen_by_older_views_alone() -> None:
    history = History()
    rows: Rows[str, Thing] = Rows(history)
    old = put(history, rows, "old")
    view = history.view()

    history.commit([lambda: rows.remove("key")])

    assert rows.get("key") is None
    assert list(rows.all()) == []
    assert rows.get("key", view.moment) is old()
    view.close()
    history.commit([lambda: rows.put("another", Thing("other"))])
    assert not is_kept(old)


def test_a_view_closed_before_an_older_one_keeps_nothing_from_it() -> None:
    history = History()
    rows: Rows[str, Thing] = Rows(history)
    put(history, rows, "first")
    older = history.view()
    put(history, rows, "second")
    newer = history.view()
    newer.close()

    put(history, rows, "third")

    seen = rows.get("key", older.moment)
    assert seen is not None
    assert seen.name == "first"
