from datetime import timedelta

import pytest

from protocols.est import nonces
from protocols.est.nonces import LIFETIME, SKEW, Nonces
from tests.support.fakes import START

KEY = bytes(32)


def test_est_T9_a_nonce_is_taken_once() -> None:
    own = Nonces(KEY)
    nonce = own.make(START)

    assert [own.take(nonce, START) for _ in range(3)] == [True, False, False]


def test_est_T9_workers_take_each_other_s_nonces_and_strangers_do_not() -> None:
    nonce = Nonces(KEY).make(START)

    assert Nonces(KEY).take(nonce, START)
    assert not Nonces(bytes(31) + b"\x01").take(nonce, START)


@pytest.mark.parametrize(
    ("later", "taken"),
    [
        (LIFETIME, True),
        (LIFETIME + timedelta(microseconds=1), False),
        (-SKEW, True),
        (-SKEW - timedelta(microseconds=1), False),
    ],
)
def test_est_T9_a_nonce_is_good_for_a_while(later: timedelta, taken: bool) -> None:  # noqa: FBT001 - a column of the table above
    own = Nonces(KEY)

    assert own.take(own.make(START), START + later) is taken


@pytest.mark.parametrize("position", range(44))
def test_a_nonce_with_any_character_changed_is_not_ours(position: int) -> None:
    nonce = Nonces(KEY).make(START)
    other = "A" if nonce[position] != "A" else "B"

    assert not Nonces(KEY).take(nonce[:position] + other + nonce[position + 1 :], START)


def test_a_used_nonce_in_another_spelling_is_used_all_the_same() -> None:
    own = Nonces(KEY, lambda count: b"\xff" * count)
    nonce = own.make(START)
    other = nonce.replace("_", "/").replace("-", "+")

    assert other != nonce
    assert own.take(nonce, START)
    assert not own.take(other, START)


@pytest.mark.parametrize("nonce", ["", "x", "=" * 44, "\xff" * 44, "A" * 43, "A" * 45, "!" * 44])
def test_what_is_no_nonce_at_all_is_not_taken(nonce: str) -> None:
    assert not Nonces(KEY).take(nonce, START)


def test_however_many_are_used_none_is_taken_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonces, "MOST_USED", 10)
    own = Nonces(KEY)
    made = [own.make(START + timedelta(microseconds=each)) for each in range(30)]

    first = [own.take(each, START) for each in made]
    again = [own.take(each, START) for each in made]

    assert (all(first), any(again)) == (True, False)


def test_old_nonces_are_forgotten_and_stay_refused() -> None:
    own = Nonces(KEY)
    old = own.make(START)
    assert own.take(old, START)
    later = START + 2 * LIFETIME

    assert own.take(own.make(later), later)
    assert not own.take(old, later)
