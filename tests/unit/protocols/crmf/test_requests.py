"""CRMF requests: what is read, what is refused, and that possession is proven."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyasn1.codec.der import encoder

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.profiles import KeyUsageBit
from protocols import der
from protocols.crmf.decode import decode_message, decode_messages
from protocols.crmf.messages import (
    KeyPurpose,
    PrivateKeyMethod,
    PrivateKeyProof,
    PublicKeyMAC,
    RAVerified,
)
from protocols.crmf.request import to_certificate_request
from tests.support.crmf import (
    a_cert_request,
    a_crm,
    a_key_input,
    a_message,
    sign,
    signature_over,
)
from tests.support.csr import a_key, a_name, bombs, sequence, some_key_usage, spki_of, tlv
from tests.support.openssl import make_key, openssl, program

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
CHANGE_SUBJECT = "1.3.6.1.5.5.7.7.36"
NUMBER = bytes.fromhex("020101")
NAME = tlv(0xA5, a_name().public_bytes())
KEY = bytes([0xA6]) + spki_of(a_key())[1:]


def refused(message: bytes) -> EnrollmentError:
    with pytest.raises(EnrollmentError) as caught:
        to_certificate_request(decode_message(message))
    return caught.value


def by_hand(*fields: bytes, number: bytes = NUMBER, more: bytes = b"") -> bytes:
    """Make a CertReqMsg of a template's fields, with a good signature over it."""
    request = sequence(number, sequence(*fields), more)
    algorithm, signature = sign(request, a_key())
    return sequence(request, tlv(0xA1, algorithm, tlv(0x03, b"\0", signature)))


def test_a_signature_by_another_key_proves_nothing() -> None:
    error = refused(a_crm(signer=a_key("p-256", 1)))

    assert error.reason is FailureReason.BAD_PROOF_OF_POSSESSION
    assert error.field == "signature"


def test_a_changed_request_is_no_longer_proven() -> None:
    message = a_crm().replace(b"pump-1", b"pump-2")

    assert refused(message).reason is FailureReason.BAD_PROOF_OF_POSSESSION


@pytest.mark.parametrize(
    ("proof", "finding"),
    [
        (b"", "pop_missing"),
        (tlv(0x80), "pop_method"),
        (tlv(0xA2, tlv(0x81, b"\x01")), "pop_method"),
        (tlv(0xA3, tlv(0x82, b"\0mac")), "pop_method"),
    ],
    ids=["none", "raVerified", "challengeResp", "dhMAC"],
)
def test_possession_is_proven_by_a_signature_or_not_at_all(proof: bytes, finding: str) -> None:
    request = encoder.encode(a_cert_request(a_key()))

    error = refused(sequence(request, proof))

    assert (error.reason, error.finding) == (FailureReason.BAD_PROOF_OF_POSSESSION, finding)


def test_the_other_proofs_are_read_for_who_can_judge_them() -> None:
    request = encoder.encode(a_cert_request(a_key()))

    ra = decode_message(sequence(request, tlv(0x80)))
    challenge = decode_message(sequence(request, tlv(0xA2, tlv(0x81, b"\x01"))))

    assert isinstance(ra.proof, RAVerified)
    assert challenge.proof == PrivateKeyProof(
        purpose=KeyPurpose.KEY_ENCIPHERMENT,
        method=PrivateKeyMethod.SUBSEQUENT_MESSAGE,
        content=b"\x01",
    )


def test_a_key_input_beside_a_subject_is_refused() -> None:
    given = a_key_input(a_key(), a_name())
    request = a_cert_request(a_key())

    error = refused(a_message(request, signature_over(encoder.encode(given), a_key(), given)))

    assert error.finding == "pop_input"


def test_a_request_without_a_subject_needs_a_key_input() -> None:
    request = a_cert_request(a_key(), without_subject=True)

    error = refused(a_message(request, signature_over(encoder.encode(request), a_key())))

    assert error.finding == "pop_input"


def test_a_key_input_of_another_key_is_refused() -> None:
    other = a_key_input(a_key("p-256", 1), a_name())
    request = a_cert_request(a_key(), without_subject=True)

    error = refused(a_message(request, signature_over(encoder.encode(other), a_key(), other)))

    assert error.reason is FailureReason.BAD_PROOF_OF_POSSESSION


def test_a_key_input_proves_possession_for_a_request_without_a_subject() -> None:
    given = a_key_input(a_key(), a_name())
    request = a_cert_request(a_key(), without_subject=True)
    message = a_message(request, signature_over(encoder.encode(given), a_key(), given))

    found = to_certificate_request(decode_message(message))

    assert found.spki == spki_of(a_key())
    assert found.subject == x509.Name([])


def test_a_mac_over_the_key_is_checked_by_who_knows_the_secret() -> None:
    algorithm = sequence(bytes.fromhex("06092a864886f67d07420d"))
    inner = sequence(algorithm, tlv(0x03, b"\0mac")) + spki_of(a_key())
    signature_algorithm, signature = sign(sequence(inner), a_key())
    proof = tlv(0xA1, tlv(0xA0, inner), signature_algorithm, tlv(0x03, b"\0", signature))
    request = encoder.encode(a_cert_request(a_key(), without_subject=True))
    message = decode_message(sequence(request, proof))
    seen: list[tuple[PublicKeyMAC, bytes]] = []

    to_certificate_request(message, check_mac=lambda mac, spki: seen.append((mac, spki)))

    assert seen == [(PublicKeyMAC(algorithm=algorithm, value=b"mac"), spki_of(a_key()))]
    with pytest.raises(EnrollmentError, match="cannot be checked"):
        to_certificate_request(message)


@pytest.mark.parametrize(
    "fields",
    [
        (NAME, NAME, KEY),
        (KEY, NAME),
        (tlv(0xA5, a_name().public_bytes()[2:]), KEY),
        (tlv(0xA4, tlv(0xA0, tlv(0x17, b"2601010000Z"))), NAME, KEY),
        (tlv(0xA4, tlv(0xA0, tlv(0x18, b"20261301000000Z"))), NAME, KEY),
        (tlv(0x81, b""), NAME, KEY),
        (NAME, KEY, tlv(0xAA, b"")),
    ],
    ids=lambda fields: b"".join(fields)[:3].hex(),
)
def test_a_template_with_what_must_not_be_there_is_refused(fields: tuple[bytes, ...]) -> None:
    assert refused(by_hand(*fields)).reason is FailureReason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "fields",
    [
        (tlv(0x80, b"\x00"), NAME, KEY),
        (tlv(0xA2, bytes.fromhex("06032b6570")), NAME, KEY),
        (NAME, KEY, tlv(0x87, b"\0uid")),
        (NAME, KEY, tlv(0x88, b"\0uid")),
        (tlv(0xA4), NAME, KEY),
    ],
    ids=lambda fields: b"".join(fields)[:3].hex(),
)
def test_cmp_O2_a_template_that_asks_for_what_it_must_not_is_refused(
    fields: tuple[bytes, ...],
) -> None:
    assert refused(by_hand(*fields)).reason is FailureReason.BAD_CERTIFICATE_TEMPLATE


def test_a_serial_number_is_not_the_requesters_to_choose() -> None:
    error = refused(by_hand(tlv(0x81, b"\x07"), NAME, KEY))

    assert error.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE


def test_a_template_without_a_key_is_refused() -> None:
    error = refused(by_hand(NAME))

    assert (error.reason, error.field) == (FailureReason.BAD_CERTIFICATE_TEMPLATE, "publicKey")


def test_a_control_that_is_there_twice_is_refused() -> None:
    control = (CHANGE_SUBJECT, sequence(a_name().public_bytes()))

    error = refused(a_crm(controls=[control, control]))

    assert error.finding == "duplicate_control"


@pytest.mark.parametrize("bomb", bombs().values(), ids=bombs().keys())
def test_security_P1_a_bomb_is_refused(bomb: bytes) -> None:
    with pytest.raises(Malformed):
        decode_message(bomb)
    with pytest.raises(Malformed):
        decode_messages(bomb)


def test_no_requests_at_all_are_refused() -> None:
    with pytest.raises(Malformed):
        decode_messages(sequence())


@pytest.mark.parametrize("kind", ["p-256", "p-384", "rsa-2048", "ed25519", "ed448"])
def test_what_is_asked_for_is_read(kind: str) -> None:
    key, names = a_key(kind), (x509.DNSName("pump-1.example"),)
    message = a_crm(
        key,
        number=7,
        subject=a_name("pump-7"),
        names=names,
        extensions=[some_key_usage(key_agreement=True), x509.ExtendedKeyUsage([CLIENT_AUTH])],
    )

    decoded = decode_message(message)
    request = to_certificate_request(decoded)

    assert decoded.request_id == 7
    assert request.subject == a_name("pump-7")
    assert request.subject_alternative_names == names
    assert request.key_usage == frozenset({KeyUsageBit.KEY_AGREEMENT})
    assert request.extended_key_usage == frozenset({CLIENT_AUTH})
    assert request.spki == spki_of(key)


def test_wishes_that_nobody_grants_are_read_all_the_same() -> None:
    times = tlv(0xA0, tlv(0x17, b"260102030405Z")) + tlv(0xA1, tlv(0x18, b"20600102030405Z"))
    issuer = tlv(0xA3, a_name("CA").public_bytes())

    template = decode_message(
        by_hand(tlv(0x80, b"\x02"), issuer, tlv(0xA4, times), NAME, KEY)
    ).template

    assert template.issuer == a_name("CA").public_bytes()
    assert template.not_before is not None
    assert template.not_before.isoformat() == "2026-01-02T03:04:05+00:00"
    assert template.not_after is not None
    assert template.not_after.year == 2060


def test_est_E10_a_change_of_name_is_read_from_the_controls() -> None:
    change = sequence(a_name("new").public_bytes())

    request = to_certificate_request(decode_message(a_crm(controls=[(CHANGE_SUBJECT, change)])))

    assert request.change_subject_name == a_name("new")
    assert request.change_subject_alternative_names is None


def test_an_empty_change_of_name_is_refused() -> None:
    error = refused(a_crm(controls=[(CHANGE_SUBJECT, sequence())]))

    assert error.reason is FailureReason.MALFORMED_REQUEST


@pytest.mark.parametrize("kind", ["p-256", "rsa-2048", "ed25519"])
def test_what_openssl_asks_for_is_read(kind: str, tmp_path: Path) -> None:
    program("openssl")
    key = make_key(tmp_path / "key.pem", kind)

    messages = decode_messages(asked_by_openssl(key, tmp_path))
    request = to_certificate_request(messages[0])

    held = load_pem_private_key(key.read_bytes(), None)
    assert request.subject == a_name("pump-1")
    assert request.subject_alternative_names == (x509.DNSName("pump-1.example"),)
    assert request.public_key == held.public_key()


def asked_by_openssl(key: Path, folder: Path) -> bytes:
    """Have `openssl cmp` ask its own mock server, and give the CertReqMessages that it sent."""
    openssl("req", "-x509", "-key", key, "-subj", "/CN=mock", "-out", folder / "mock.pem")
    openssl(
        *("cmp", "-config", "", "-cmd", "ir", "-use_mock_srv", "-srv_ref", "x"),
        *("-srv_secret", "pass:y", "-ref", "x", "-secret", "pass:y"),
        *("-rsp_cert", folder / "mock.pem", "-newkey", key, "-subject", "/CN=pump-1"),
        *("-sans", "pump-1.example", "-certout", folder / "new.pem"),
        *("-reqout", f"{folder / 'ir.der'},{folder / 'conf.der'}"),
    )
    (message,) = der.split((folder / "ir.der").read_bytes())
    return der.split(message.content)[1].content
