import time
from contextlib import suppress

import pytest

from enroll.failures import Malformed
from protocols.limits import DERLimits, check_der
from tests.support.csr import a_csr, a_key, bombs, oid, sequence, tlv

UNREADABLE = {
    "nothing": b"",
    "a tag alone": b"\x30",
    "a length that is cut off": b"\x30\x82\x01",
    "content that is cut off": b"\x30\x03\x02\x01",
    "an inner element longer than the outer": b"\x30\x03\x04\x05\x00\x00\x00\x00",
    "a header that lies across the end of what holds it": b"\x30\x06\x30\x01\x04\x01\x00\x00",
    "something after the message": b"\x05\x00\x00",
    "something after a message that is empty": b"\x30\x00\x04\x01\x00",
    "indefinite length": b"\x30\x80\x00\x00",
    "a long form for a short length": b"\x04\x81\x01\x00",
    "a leading zero in a length": b"\x04\x82\x00\x80" + bytes(128),
    "a length of five octets": b"\x04\x85\x01\x00\x00\x00\x00",
    "the reserved length": b"\x04\xff",
    "an octet string in pieces": b"\x24\x04\x04\x02\x00\x00",
    "a sequence in primitive form": b"\x10\x00",
    "end of contents": b"\x30\x02\x00\x00",
    "an INTEGER of no octets": b"\x02\x00",
    "an INTEGER with a needless zero": b"\x02\x02\x00\x01",
    "an INTEGER with a needless sign": b"\x02\x02\xff\x80",
    "a BOOLEAN of BER": b"\x01\x01\x01",
    "a BOOLEAN of two octets": b"\x01\x02\xff\xff",
    "a NULL with content": b"\x05\x01\x00",
    "a BIT STRING of no octets": b"\x03\x00",
    "a BIT STRING with eight unused bits": b"\x03\x02\x08\x00",
    "an empty BIT STRING with unused bits": b"\x03\x01\x01",
    "an OID of no octets": b"\x06\x00",
    "an OID that goes on": b"\x06\x02\x2a\x86",
    "a long tag for a short number": b"\x9f\x1e\x00",
    "a long tag with a leading zero": b"\x9f\x80\x1f\x00",
    "a tag that does not end": b"\x9f\xff\xff\xff\xff\x7f\x00",
}


@pytest.mark.parametrize("der", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_not_der_is_refused(der: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        check_der(der)

    assert caught.value.finding == "not_der"


@pytest.mark.parametrize(
    "der",
    [
        b"\x05\x00",
        b"\x30\x00",
        b"\x01\x01\xff",
        b"\x02\x01\x80",
        b"\x02\x02\x00\x80",
        b"\x03\x01\x00",
        b"\x9f\x1f\x00",
        b"\x9f\x81\x00\x00",
        b"\xa0\x02\x05\x00",
        tlv(0x04, bytes(70_00)),
        a_csr(),
        a_csr(a_key("rsa-2048")),
    ],
)
def test_der_is_taken(der: bytes) -> None:
    check_der(der)


def test_the_limits_themselves_are_within_the_limits() -> None:
    nested = b""
    for _ in range(25):
        nested = tlv(0x30, nested)
    check_der(nested)
    check_der(sequence(b"\x05\x00" * 3_999))
    check_der(tlv(0x06, bytes([0x2A]) * 64))
    check_der(tlv(0x02, b"\x01" * 1_100))
    check_der(tlv(0x04, bytes(65_532)))


@pytest.mark.parametrize(
    "der",
    [
        tlv(0x30, *[sequence(b"\x05\x00" * 100)] * 40),
        sequence(b"\x05\x00" * 4_000),
        tlv(0x06, bytes([0x2A]) * 65),
        tlv(0x02, b"\x01" * 1_101),
        tlv(0x04, bytes(65_533)),
    ],
)
def test_one_beyond_the_limits_is_refused(der: bytes) -> None:
    with pytest.raises(Malformed):
        check_der(der)


def test_nesting_beyond_the_limit_is_refused() -> None:
    nested = oid("2a03")
    for _ in range(25):
        nested = tlv(0xA0, nested)

    with pytest.raises(Malformed, match="nested more than 24 deep"):
        check_der(nested)


def test_est_H10_limits_can_be_widened_for_larger_requests() -> None:
    wide = DERLimits(octets=200_000, nodes=10_000)

    check_der(tlv(0x04, bytes(100_000)), wide)
    check_der(sequence(b"\x05\x00" * 5_000), wide)


@pytest.mark.parametrize("der", bombs().values(), ids=bombs().keys())
def test_security_P1_a_bomb_costs_next_to_nothing(der: bytes) -> None:
    def cost() -> float:
        before = time.process_time()
        with suppress(Malformed):
            check_der(der)
        return time.process_time() - before

    # Garbage collection may fall into one run, so the cheapest of up to three counts.
    assert any(cost() < 0.005 for _ in range(3))
