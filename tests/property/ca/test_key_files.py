"""Whatever has become of a key file, opening it ends in the key or in one kind of error."""

import pytest
from asn1crypto import pem
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.keys.software import (
    KeyKind,
    KeyOpeningError,
    make_private_key,
    open_private_key,
    seal_private_key,
)
from tests.support.fakes import SeededRandomness

PASSPHRASE = b"correct horse"
KEY = make_private_key(KeyKind.ED25519)
SEALED = seal_private_key(KEY, PASSPHRASE, SeededRandomness())
DER: bytes = pem.unarmor(SEALED)[2]
# What is encrypted begins here; octets before it say how.
HEADER = len(DER) - 66


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, HEADER - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_file_whose_header_is_damaged_raises_one_error(changes: list[tuple[int, int]]) -> None:
    octets = bytearray(DER)
    for place, value in changes:
        octets[place] = value

    _open(pem.armor("ENCRYPTED PRIVATE KEY", bytes(octets)))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_octets_that_are_no_key_raise_one_error(octets: bytes) -> None:
    with pytest.raises(KeyOpeningError):
        open_private_key(pem.armor("ENCRYPTED PRIVATE KEY", octets), PASSPHRASE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SEALED) - 1), st.binary(max_size=5))
def test_a_file_whose_armor_is_damaged_raises_one_error(place: int, octets: bytes) -> None:
    _open(SEALED[:place] + octets + SEALED[place + len(octets) :])


def _open(file: bytes) -> None:
    """Open it, or get the one error there is.

    CBC has no check of its own, so that damage may open as another key of the same kind: that it
    is not the certificate's is for `Issuer` to find.
    """
    try:
        opened = open_private_key(file, PASSPHRASE)
    except KeyOpeningError:
        return
    assert isinstance(opened, type(KEY))
