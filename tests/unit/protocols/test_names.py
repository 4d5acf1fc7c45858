"""Names out of DER, and what is none."""

import pytest

from protocols.names import read_name
from tests.support.csr import a_name, sequence, tlv

COMMON_NAME = bytes.fromhex("0603550403")


def a_name_of(value: bytes) -> bytes:
    return sequence(tlv(0x31, sequence(COMMON_NAME, value)))


def test_a_name_is_read() -> None:
    assert read_name(a_name("pump-1").public_bytes()) == a_name("pump-1")


@pytest.mark.parametrize("value", [tlv(0x0C, b"\xff\xff"), tlv(0x03, b"\0\0"), tlv(0x02, b"\1")])
def test_a_value_that_is_no_text_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        read_name(a_name_of(value))
