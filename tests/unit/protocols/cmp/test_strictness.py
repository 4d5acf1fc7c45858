"""A strict profile and one that is not: the same messages, and what each says of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der import encoder

from enroll.options import CMPOptions
from protocols import der
from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, FailInfo, PKIHeader
from protocols.cmp.protection import Protection
from tests.support.cmp import (
    SECRET,
    a_certificate,
    a_handler,
    a_header,
    a_message,
    a_signer,
    a_wire,
    by_signature,
    check_form,
    from_client,
    pbm,
    refusal,
)
from tests.support.crmf import (
    a_cert_request,
    a_crm,
    a_key_input,
    a_private_key_message,
    signature_over,
)
from tests.support.crmf import a_message as a_request
from tests.support.csr import a_key, a_name, sequence, tlv

STRICT = CMPOptions(strict=True)
TOLERANT = CMPOptions()
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
REQUEST = sequence(a_crm(number=0))
NAMED = directory_name(a_name("pump-1").public_bytes())
IMPLICIT_CONFIRM = "06082b0601050507040d"
CONFIRM_WAIT_TIME = "06082b0601050507040e"
CERT_PROFILE = "06082b06010505070415"


def judged(message: bytes, options: CMPOptions) -> FailInfo | None:
    """Tell the bit with which the message is refused; None where it is not."""
    found = refusal(a_handler(options), a_wire(message))
    if found is None:
        return None
    answer = check_form(found[1].body)["body"].getComponent()
    info = answer["pKIStatusInfo"] if "pKIStatusInfo" in answer else _first(answer)
    (bit,) = [number for number, bit in enumerate(info["failInfo"]) if bit]
    return FailInfo(bit)


def _first(answer: object) -> dict[str, list[int]]:
    return answer["response"][0]["status"]  # type: ignore[index,no-any-return]  # pyasn1 has no types


def mac(kind: BodyType = BodyType.IR, content: bytes = REQUEST, **changes: object) -> bytes:
    return a_message(kind, content, a_header(**{"sender": NAMED, **changes}))


def with_infos(
    *infos: tuple[str, bytes],
    header: PKIHeader | None = None,
    protection: Protection | None = None,
) -> bytes:
    """Make an ir whose generalInfo holds what our encoder would not write."""
    plain = decode(mac() if header is None else a_message(BodyType.IR, REQUEST, header))
    (outer,) = der.split(plain.header_octets)
    written = [sequence(bytes.fromhex(kind), value) for kind, value in infos]
    octets = sequence(outer.content, tlv(0xA8, sequence(*written)))
    part = sequence(octets, plain.body_octets)
    bits = (protection or derive_key(pbm(), SECRET)).protect(part)
    return sequence(octets, plain.body_octets, tlv(0xA0, tlv(0x03, b"\0", bits)))


def chain_of(*names: str) -> list[bytes]:
    """Make certificates that name each the next as their issuer."""
    key = a_key()
    return [
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .issuer_name(a_name(issuer))
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .public_key(key.public_key())
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
        for name, issuer in zip(names, (*names[1:], "root"), strict=True)
    ]


def a_key_input_request() -> bytes:
    """Make a request whose signature is over a poposkInput, as a template without subject needs."""
    key = a_key()
    request = a_cert_request(
        key, number=0, names=[x509.DNSName("pump-1.example")], without_subject=True
    )
    key_input = a_key_input(key, a_name("signer"))
    proof = signature_over(encoder.encode(key_input), key, key_input)
    return sequence(a_request(request, proof))


SIGNER = a_signer()
OWN = SIGNER.certificate.public_bytes(Encoding.DER)
OTHER = a_certificate(a_key("p-256", 1), "other").public_bytes(Encoding.DER)

CASES: dict[str, tuple[Callable[[], bytes], FailInfo | None, FailInfo | None]] = {
    # What is sent, what a strict profile says, and what another.
    "a MAC with all that is asked for": (mac, None, None),
    "a signature with all that is asked for": (
        lambda: by_signature(BodyType.CR, REQUEST, extra_certs=[OWN, *chain_of("CA", "above")]),
        None,
        None,
    ),
    "a MAC without senderKID": (
        lambda: mac(sender_kid=None),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a signature without senderKID": (
        lambda: by_signature(BodyType.CR, REQUEST, sender_kid=None),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a MAC whose sender has another CN": (
        lambda: mac(sender=directory_name(a_name("pump-2").public_bytes())),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a MAC whose sender has no name": (
        lambda: mac(sender=directory_name(sequence())),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a MAC whose sender is an address": (
        lambda: mac(sender=tlv(0x81, b"pump-1@example.com")),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a recipNonce in a first message": (
        lambda: mac(recip_nonce=bytes(16)),
        FailInfo.BAD_RECIPIENT_NONCE,
        None,
    ),
    "a recipNonce in a nested message": (
        lambda: by_signature(
            BodyType.NESTED,
            sequence(mac(sender_nonce=bytes(16))),
            sender_nonce=bytes(16),
            recip_nonce=bytes(16),
        ),
        None,
        None,
    ),
    "no messageTime": (lambda: mac(message_time=None), FailInfo.BAD_TIME, None),
    "a messageTime at the end of the window": (
        lambda: mac(message_time=NOW - timedelta(minutes=5)),
        None,
        None,
    ),
    "a messageTime before the window": (
        lambda: mac(message_time=NOW - timedelta(minutes=5, seconds=1)),
        FailInfo.BAD_TIME,
        None,
    ),
    "a messageTime after the window": (
        lambda: mac(message_time=NOW + timedelta(minutes=5, seconds=1)),
        FailInfo.BAD_TIME,
        None,
    ),
    "the signer's certificate at the second place": (
        lambda: by_signature(BodyType.CR, REQUEST, extra_certs=[OTHER, OWN]),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a certificate after that of its issuer": (
        lambda: by_signature(BodyType.CR, REQUEST, extra_certs=[OWN, *chain_of("above", "CA")]),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a certificate of nobody in the path": (
        lambda: by_signature(BodyType.CR, REQUEST, extra_certs=[OWN, OTHER]),
        FailInfo.BAD_MESSAGE_CHECK,
        None,
    ),
    "a kur under a MAC": (
        lambda: mac(BodyType.KUR),
        FailInfo.WRONG_INTEGRITY,
        FailInfo.WRONG_INTEGRITY,
    ),
    "a poposkInput": (
        lambda: by_signature(BodyType.CR, a_key_input_request()),
        FailInfo.BAD_POP,
        None,
    ),
    "possession to be proven by decryption": (
        lambda: by_signature(
            BodyType.CR,
            sequence(
                a_private_key_message(
                    a_cert_request(a_key("rsa-2048"), number=0), "keyEncipherment"
                )
            ),
        ),
        FailInfo.BAD_POP,
        None,
    ),
    "an implicitConfirm that is not NULL": (
        lambda: with_infos((IMPLICIT_CONFIRM, b"\x01\x01\xff")),
        FailInfo.BAD_REQUEST,
        None,
    ),
    "an implicitConfirm of NULL": (lambda: with_infos((IMPLICIT_CONFIRM, b"\x05\x00")), None, None),
    "implicitConfirm beside confirmWaitTime": (
        lambda: with_infos(
            (IMPLICIT_CONFIRM, b"\x05\x00"), (CONFIRM_WAIT_TIME, tlv(0x18, b"20261125130000Z"))
        ),
        FailInfo.BAD_REQUEST,
        None,
    ),
    "a confirmWaitTime of UTCTime": (
        lambda: with_infos((CONFIRM_WAIT_TIME, tlv(0x17, b"261125130000Z"))),
        FailInfo.BAD_DATA_FORMAT,
        None,
    ),
    "two names in certProfile": (
        lambda: with_infos((CERT_PROFILE, sequence(tlv(0x0C, b"one"), tlv(0x0C, b"two")))),
        FailInfo.BAD_REQUEST,
        FailInfo.BAD_REQUEST,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cmp_H4_H6_H10_H11_P4_P12_a_strict_profile_and_another(case: str) -> None:
    made, strict, tolerant = CASES[case]
    message = made()

    found = judged(message, STRICT), judged(message, TOLERANT)

    assert found == (strict, tolerant)


@pytest.mark.parametrize("kind", [BodyType.RR, BodyType.GENM])
def test_cmp_P12_a_strict_profile_takes_macs_for_enrollments_only(kind: BodyType) -> None:
    content = sequence(sequence(bytes.fromhex("06082b06010505070411")))

    assert judged(mac(kind, content), STRICT) is FailInfo.WRONG_INTEGRITY


@pytest.mark.parametrize("name", ["ir", "ir-implicit", "p10cr"])
def test_cmp_H4_what_openssl_sends_by_mac_is_taken_without_strictness_only(name: str) -> None:
    message = from_client(name)
    options = replace(STRICT, message_time_window=timedelta(days=36500))

    found = judged(message, options), judged(message, TOLERANT)

    assert found == (FailInfo.BAD_MESSAGE_CHECK, None)


@pytest.mark.parametrize("strict", [False, True])
def test_cmp_H6_the_window_of_message_time_is_the_profiles(*, strict: bool) -> None:
    options = CMPOptions(strict=strict, message_time_window=timedelta(hours=1))

    found = [
        judged(mac(message_time=NOW - timedelta(minutes=each)), options) for each in (59, 60, 61)
    ]

    assert found == [None, None, FailInfo.BAD_TIME]


def test_cmp_H6_a_device_without_a_clock_is_let_in_where_a_window_is_set() -> None:
    options = CMPOptions(message_time_window=timedelta(hours=1))

    assert judged(mac(message_time=None), options) is None
