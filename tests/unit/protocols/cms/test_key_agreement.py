"""Key agreement, taken apart octet by octet: what others may write, and what nobody should."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enroll.failures import EnrollmentError, FailureReason
from protocols.cms.enveloped_data import RecipientKey, open_enveloped_data
from protocols.cms.identifiers import issuer_and_serial
from tests.support.cms import a_party, an_envelope, key_of
from tests.support.csr import oid, sequence, tlv

CONTENT = b"what is hidden\n" * 20
KEY = bytes(range(16))
PARTY = a_party("p-256")
OURS = key_of(PARTY)
X25519_PARTY = a_party("x25519")
ONE_TIME = ec.generate_private_key(ec.SECP256R1())
ONE_TIME_X25519 = x25519.X25519PrivateKey.generate()
POINT = ONE_TIME.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
COMPRESSED = ONE_TIME.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
EC = oid("2a8648ce3d0201")
P_256 = oid("2a8648ce3d030107")
X25519 = oid("2b656e")
X963_SHA256 = oid("2b8104010b01")
X963_SHA1 = oid("2b81051086483f0002")
HKDF_SHA256 = oid("2a864886f70d0109100313")
AES_128_WRAP = sequence(oid("608648016503040105"))
UKM = b"keying material of the user"
UNSUPPORTED = (FailureReason.UNSUPPORTED_ALGORITHM, "unsupported_algorithm")
MALFORMED = (FailureReason.MALFORMED_REQUEST, "malformed_request")
UNOPENED = (FailureReason.MALFORMED_REQUEST, "envelope_unopened")
NOT_FOR_US = (FailureReason.MALFORMED_REQUEST, "envelope_not_for_us")


def originator(
    point: bytes = POINT, *, kind: bytes = EC, parameters: bytes = b"", tag: int = 0xA1
) -> bytes:
    return tlv(0xA0, tlv(tag, sequence(kind, parameters), tlv(0x03, b"\x00", point)))


def shared_info(ukm: bytes | None) -> bytes:
    entity = b"" if ukm is None else tlv(0xA0, tlv(0x04, ukm))
    return sequence(AES_128_WRAP, entity, tlv(0xA2, tlv(0x04, (128).to_bytes(4))))


def by_x963(secret: bytes, ukm: bytes | None = None) -> bytes:
    return hashlib.sha256(secret + (1).to_bytes(4) + shared_info(ukm)).digest()[:16]


def by_hkdf(secret: bytes, ukm: bytes | None = None) -> bytes:
    extracted = hmac.digest(ukm or bytes(32), secret, "sha256")
    return hmac.digest(extracted, shared_info(ukm) + b"\x01", "sha256")[:16]


def ec_secret() -> bytes:
    public_key = PARTY.certificate.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    return ONE_TIME.exchange(ec.ECDH(), public_key)


def x25519_secret() -> bytes:
    public_key = X25519_PARTY.certificate.public_key()
    assert isinstance(public_key, x25519.X25519PublicKey)
    return ONE_TIME_X25519.exchange(public_key)


def agreed(
    wrapping_key: bytes | None = None,
    *,
    by: bytes | None = None,
    ukm: bytes | None = None,
    scheme: bytes = X963_SHA256,
    wrap: bytes = AES_128_WRAP,
    identifier: bytes | None = None,
    wrapped: bytes | None = None,
) -> bytes:
    """Make a KeyAgreeRecipientInfo."""
    if wrapped is None:
        wrapped = aes_key_wrap(wrapping_key or by_x963(ec_secret(), ukm), KEY)
    return tlv(
        0xA1,
        b"\x02\x01\x03",
        originator() if by is None else by,
        b"" if ukm is None else tlv(0xA1, tlv(0x04, ukm)),
        sequence(scheme, wrap),
        sequence(sequence(identifier or issuer_and_serial(PARTY.certificate), tlv(0x04, wrapped))),
    )


def failure_of(recipient: bytes, key: RecipientKey) -> tuple[FailureReason, str]:
    """Say how it is refused; noise looks like a content once in 256 times, so try again."""
    message = an_envelope(recipient, key=KEY, content=CONTENT)
    for _ in range(5):
        try:
            opened = open_enveloped_data(message, keys=(key,))
        except EnrollmentError as refused:
            return refused.reason, refused.finding
        assert opened.content != CONTENT
    pytest.fail("it was opened")


@pytest.mark.parametrize(
    "recipient",
    [
        agreed(),
        agreed(ukm=UKM),
        agreed(ukm=b""),
        agreed(by=originator(parameters=b"\x05\x00")),
        agreed(by=originator(parameters=P_256)),
        agreed(by_hkdf(ec_secret(), UKM), ukm=UKM, scheme=HKDF_SHA256),
        agreed(identifier=tlv(0xA0, tlv(0x04, PARTY.key_identifier))),
        agreed(
            identifier=tlv(0xA0, tlv(0x04, PARTY.key_identifier), tlv(0x18, b"20260101000000Z"))
        ),
    ],
)
def test_what_rfc_5753_allows_is_opened(recipient: bytes) -> None:
    message = an_envelope(recipient, key=KEY, content=CONTENT)

    assert open_enveloped_data(message, keys=(OURS,)).content == CONTENT


@pytest.mark.parametrize("ukm", [None, UKM])
@pytest.mark.parametrize("scheme", [HKDF_SHA256, X963_SHA256])
def test_what_rfc_8418_allows_is_opened(ukm: bytes | None, scheme: bytes) -> None:
    derive = by_hkdf if scheme == HKDF_SHA256 else by_x963
    recipient = agreed(
        derive(x25519_secret(), ukm),
        by=originator(ONE_TIME_X25519.public_key().public_bytes_raw(), kind=X25519),
        ukm=ukm,
        scheme=scheme,
        identifier=issuer_and_serial(X25519_PARTY.certificate),
    )

    message = an_envelope(recipient, key=KEY, content=CONTENT)

    assert open_enveloped_data(message, keys=(key_of(X25519_PARTY),)).content == CONTENT


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        (agreed(scheme=X963_SHA1), UNSUPPORTED),
        (agreed(scheme=oid("2b8104010e01")), UNSUPPORTED),  # with the cofactor
        (agreed(wrap=sequence(oid("2a864886f70d0109100306"), b"\x05\x00")), UNSUPPORTED),
        (agreed(wrap=sequence(oid("608648016503040105"), b"\x05\x00")), UNSUPPORTED),
        (agreed(wrap=b"\x05\x00"), MALFORMED),
        (agreed(by=b""), MALFORMED),
        (agreed(by=tlv(0xA0)), MALFORMED),
        (tlv(0xA1), MALFORMED),
        (tlv(0xA1, b"\x02\x01\x03", b"\x05\x00"), MALFORMED),
        (agreed(identifier=tlv(0xA0)), MALFORMED),
        (agreed(identifier=tlv(0xA0, tlv(0x04, b"another"))), NOT_FOR_US),
        (agreed(identifier=tlv(0x80, PARTY.key_identifier)), NOT_FOR_US),
        (agreed(by=originator(tag=0x30)), UNOPENED),
        (agreed(by=tlv(0xA0, issuer_and_serial(PARTY.certificate))), UNOPENED),
        (agreed(by=tlv(0xA0, tlv(0xA1, sequence(EC)))), UNOPENED),
        (agreed(by=originator(kind=X25519)), UNOPENED),
        (agreed(by=originator(COMPRESSED)), UNOPENED),
        (agreed(by=originator(b"\x00")), UNOPENED),
        (agreed(by=originator(b"")), UNOPENED),
        (agreed(by=originator(b"\x04" + bytes(64))), UNOPENED),
        (agreed(by=originator(POINT[:-1] + bytes((POINT[-1] ^ 1,)))), UNOPENED),
        (agreed(by=originator(POINT[:-1])), UNOPENED),
        (agreed(wrapped=b""), UNOPENED),
        (agreed(wrapped=bytes(24)), UNOPENED),
        (agreed(wrapped=bytes(25)), UNOPENED),
        (agreed(by_x963(ec_secret(), b"another"), ukm=UKM), UNOPENED),
    ],
)
def test_security_P5_what_nobody_should_write_is_refused(
    recipient: bytes, expected: tuple[FailureReason, str]
) -> None:
    assert failure_of(recipient, OURS) == expected


def test_a_one_time_key_of_another_kind_is_not_agreed_on() -> None:
    recipient = agreed(
        by_x963(x25519_secret()),
        by=originator(ONE_TIME_X25519.public_key().public_bytes_raw(), kind=EC),
        identifier=issuer_and_serial(X25519_PARTY.certificate),
    )

    assert failure_of(recipient, key_of(X25519_PARTY)) == UNOPENED


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little"), bytes(31)])
def test_a_secret_of_zeros_is_not_agreed_on(point: bytes) -> None:
    recipient = agreed(
        bytes(16),
        by=originator(point, kind=X25519),
        identifier=issuer_and_serial(X25519_PARTY.certificate),
    )
    assert failure_of(recipient, key_of(X25519_PARTY)) == UNOPENED
