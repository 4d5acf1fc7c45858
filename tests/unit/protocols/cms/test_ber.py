import pytest

from enroll.failures import Malformed
from protocols.cms.ber import to_der
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der
from tests.support.csr import bombs, oid, sequence, tlv

LIMITS = DERLimits(octets=1_000, depth=4, nodes=10)


@pytest.mark.parametrize(
    ("ber", "der"),
    [
        ("3080 0000", "3000"),
        ("30820000", "3000"),
        ("3080 3080 0000 0000", "3002 3000"),
        ("3080 020105 0000", "3003 020105"),
        ("308103 020105", "3003 020105"),
        ("30840000 0003 020105", "3003 020105"),
        ("2480 040161 040162 0000", "0402 6162"),
        ("2406 040161 040162", "0402 6162"),
        ("2400", "0400"),
        ("2480 2480 040161 0000 2403 040162 0000", "0402 6162"),
        ("3080 a080 2480 040161 0000 0000 0000", "3005 a003 040161"),
        ("3080 bf8001 80 0000 0000", None),
        ("3080 bf1f80 0500 0000 0000", "3005 bf1f02 0500"),
        ("a080 040161 040162 0000", "a006 040161 040162"),
    ],
)
def test_ber_becomes_der(ber: str, der: str | None) -> None:
    if der is None:
        with pytest.raises(Malformed):
            to_der(bytes.fromhex(ber))
        return

    assert to_der(bytes.fromhex(ber)) == bytes.fromhex(der)


def test_der_is_left_as_it_is() -> None:
    message = sequence(oid("2a864886f70d010702"), tlv(0xA0, sequence(tlv(0x04, bytes(300)))))

    assert to_der(message) is message


def test_a_long_content_gets_a_long_length() -> None:
    pieces = b"".join(tlv(0x04, bytes(100)) for _ in range(50))

    assert to_der(b"\x24\x80" + pieces + b"\x00\x00") == tlv(0x04, bytes(5_000))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "30",
        "3080",
        "308000",
        "3080 0500",
        "3080 0000 00",
        "3080 0000 0500",
        "3085 0000000003 020105",
        "30ff",
        "0480 61 0000",
        "2480 020105 0000",
        "2403 020105",
        "2480 a003 040161 0000 0000",
        "2380 030200ff 0000",
        "2c80 0c0161 0000",
        "3004 3080 0000 0000",
        "3006 3080 020105 0000",
        "3003 020205",
        "3080 3003 0205 0000",
        "3003 000000",
        "3080 01010a 0000",
        "3080 02020005 0000",
        "1f",
        "1fffffffffff",
        "3080 ff",
    ],
)
def test_what_is_neither_is_refused(message: str) -> None:
    with pytest.raises(Malformed):
        to_der(bytes.fromhex(message))


@pytest.mark.parametrize(
    "message",
    [
        b"\x30\x80" * 5 + bytes(10),
        b"\x24\x80" * 5 + bytes(10),
        b"\x30\x80" + b"\x05\x00" * 10 + bytes(2),
        b"\x24\x80" + b"\x04\x00" * 10 + bytes(2),
        b"\x30\x80" + b"\x05\x00" * 1_000 + bytes(2),
        b"\x30\x80" + tlv(0x04, bytes(996)) + bytes(2),
        b"\x30\x84" + (995).to_bytes(4) + tlv(0x04, bytes(991)),  # As DER it would fit.
    ],
)
def test_security_P1_ber_beyond_the_limits_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        to_der(message, LIMITS)


def test_ber_within_the_limits_is_taken() -> None:
    assert to_der(b"\x30\x80" * 4 + bytes(8), LIMITS) == bytes.fromhex("3006300430023000")
    assert to_der(b"\x30\x80" + b"\x05\x00" * 9 + bytes(2), LIMITS) == sequence(b"\x05\x00" * 9)


@pytest.mark.parametrize("bomb", bombs().values(), ids=bombs().keys())
def test_security_P1_what_comes_out_of_a_bomb_is_within_the_limits(bomb: bytes) -> None:
    try:
        harmless = to_der(bomb)
    except Malformed:
        return

    assert check_der(harmless) <= DEFAULT_LIMITS.nodes
    assert len(harmless) <= len(bomb)
