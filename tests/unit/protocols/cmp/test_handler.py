"""CMP's handler on its own: what it refuses before anybody is asked, and in which words."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.credentials import SharedSecretMAC, SignerCertificate
from enroll.failures import EnrollmentError
from enroll.request import EnrollmentRequest, Operation
from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name
from protocols.cmp.exchanges import CertificateExchange
from protocols.cmp.messages import NULL_NAME, BodyType, FailInfo
from protocols.cmp.protection import verify_signature
from protocols.wire import ProtocolViolation, TransportFault, WireRequest
from tests.support.cmp import (
    CORPUS,
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
    integer,
    pbm,
    refusal,
    verify_mac,
)
from tests.support.crmf import a_crm
from tests.support.csr import a_key, a_name, sequence, tlv

HANDLER = a_handler()
OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5"
REQUEST = sequence(a_crm(number=0))
A_DNS_NAME = tlv(0x82, b"ca.example")
A_URI = tlv(0x86, b"urn:anybody")


def accepted(wire: WireRequest) -> EnrollmentRequest:
    exchange = HANDLER.receive(wire)
    assert isinstance(exchange, CertificateExchange)
    assert isinstance(exchange.request, EnrollmentRequest)
    return exchange.request


def refused(message: bytes, path: str = "") -> tuple[EnrollmentError, FailInfo]:
    """Give why the message is refused, and the bit of the answer, whose form is checked."""
    found = refusal(HANDLER, a_wire(message, path))
    assert found is not None
    error, response = found
    assert response.status == 200
    answer = check_form(response.body)
    told = decode(response.body)
    assert told.header.recip_nonce == decode(message).header.sender_nonce
    if told.extra_certs:
        verify_signature(told, x509.load_der_x509_certificate(told.extra_certs[0]))
    else:
        assert verify_mac(told, SECRET)
    (bit,) = [number for number, bit in enumerate(_status_of(answer)["failInfo"]) if bit]
    return error, FailInfo(bit)


def _status_of(answer: object) -> dict[str, list[int]]:
    body = answer["body"].getComponent()  # type: ignore[index]  # pyasn1 has no types
    if "pKIStatusInfo" in body:
        return body["pKIStatusInfo"]  # type: ignore[no-any-return]
    return body["response"][0]["status"]  # type: ignore[no-any-return]


def broken(wire: WireRequest) -> int:
    with pytest.raises(ProtocolViolation) as caught:
        HANDLER.receive(wire)
    return caught.value.response.status


@pytest.mark.parametrize("body", [b"", b"abc", b"\x30\x00", from_client("ir")[:-1]])
def test_cmp_T1_what_is_no_message_is_400(body: bytes) -> None:
    assert broken(a_wire(body)) == 400


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/pkixcmp-polls"])
def test_cmp_T2_another_media_type_is_415(media_type: str) -> None:
    assert broken(a_wire(from_client("ir"), media_type=media_type)) == 415


@pytest.mark.parametrize("path", ["/", "/initialization/", "/p/bootstrap/", "/bootstrap/"])
def test_cmp_T7_T11_a_path_with_a_slash_behind_it_is_the_path_without(path: str) -> None:
    for each in (path, path.removesuffix("/")):
        assert accepted(a_wire(from_client("ir"), each)).reference


@pytest.mark.parametrize(
    "media_type", ["application/pkixcmp-poll", "Application/PKIXCMP ; charset=binary"]
)
def test_cmp_T11_the_media_type_of_early_drafts_is_taken(media_type: str) -> None:
    assert accepted(a_wire(from_client("ir"), media_type=media_type)).reference


def test_cmp_T4_what_is_not_there_is_404_and_another_method_405() -> None:
    ir = from_client("ir")

    assert broken(a_wire(ir, "/p/nobody")) == 404
    assert broken(a_wire(ir, "/nobody")) == 404
    assert broken(a_wire(ir, "/p/bootstrap/no-such-operation")) == 404
    assert broken(a_wire(ir, method="GET")) == 405


def test_cmp_T9_a_message_that_is_too_large_is_413() -> None:
    assert broken(replace(a_wire(b""), fault=TransportFault.TOO_LARGE)) == 413


def test_cmp_T5_a_message_of_another_operation_than_its_address_is_refused() -> None:
    for path in ("/certification", "/p/bootstrap/keyupdate", "/pkcs10"):
        error, bit = refused(from_client("ir"), path)

        assert (error.finding, bit) == ("body_of_another_operation", FailInfo.BAD_REQUEST)
    accepted(a_wire(from_client("ir"), "/initialization"))


@pytest.mark.parametrize("pvno", [-1, 0, 1, 4, 2**31])
def test_cmp_H1_another_version_is_refused(pvno: int) -> None:
    _, bit = refused(by_signature(BodyType.CR, REQUEST, pvno=pvno))

    assert bit is FailInfo.UNSUPPORTED_VERSION


@pytest.mark.parametrize("transaction_id", [None, b""])
def test_cmp_H8_a_message_without_transaction_is_refused(transaction_id: bytes | None) -> None:
    _, bit = refused(by_signature(BodyType.CR, REQUEST, transaction_id=transaction_id))

    assert bit is FailInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize("nonce", [None, b"", bytes(15)])
def test_cmp_H9_a_short_nonce_is_refused(nonce: bytes | None) -> None:
    _, bit = refused(by_signature(BodyType.CR, REQUEST, sender_nonce=nonce))

    assert bit is FailInfo.BAD_SENDER_NONCE


@pytest.mark.parametrize("body_type", [BodyType.CERT_CONF, BodyType.POLL_REQ])
@pytest.mark.parametrize("nonce", [None, bytes(16), bytes(32)])
def test_cmp_H10_what_follows_no_answer_of_ours_is_refused(
    body_type: BodyType, nonce: bytes | None
) -> None:
    content = sequence(sequence(integer(0))) if body_type is BodyType.POLL_REQ else sequence()

    _, bit = refused(by_signature(body_type, content, recip_nonce=nonce))

    assert bit is FailInfo.BAD_RECIPIENT_NONCE


def test_cmp_P11_a_message_without_protection_is_refused() -> None:
    message = decode(a_message(BodyType.IR, REQUEST))
    bare = sequence(message.header_octets, message.body_octets)

    for each in (bare, from_client("genm-unprotected")):
        error, bit = refused(each)
        assert bit in {FailInfo.BAD_MESSAGE_CHECK, FailInfo.BAD_REQUEST}
        assert error.finding in {"protection_missing", "protection_incomplete", "body_unsupported"}


def test_cmp_P12_a_mac_does_not_update() -> None:
    _, bit = refused(a_message(BodyType.KUR, REQUEST))

    assert bit is FailInfo.WRONG_INTEGRITY


def test_security_P12_a_dear_mac_is_refused_before_any_secret_is_looked_for() -> None:
    class Dear:
        algorithm = pbm(iterations=2**31)

        def protect(self, octets: bytes) -> bytes:
            return octets[:16]

    _, bit = refused(a_message(BodyType.IR, REQUEST, protection=Dear()))

    assert bit is FailInfo.BAD_ALG


def test_cmp_P1_a_signature_over_something_else_is_refused() -> None:
    message = by_signature(BodyType.CR, REQUEST)
    other = message.replace(a_header().transaction_id or b"", bytes(16))

    _, bit = refused(other)

    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize(
    "extra_certs",
    [
        [],
        [a_certificate(a_key("p-256", 1)).public_bytes(Encoding.DER)],
        [a_certificate(a_key(), "another").public_bytes(Encoding.DER)],
        [sequence(integer(1))],
    ],
)
def test_cmp_P4_a_signature_without_its_certificate_is_refused(extra_certs: list[bytes]) -> None:
    _, bit = refused(by_signature(BodyType.CR, REQUEST, extra_certs=extra_certs))

    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize(
    "sender", [directory_name(a_name("another").public_bytes()), NULL_NAME, A_DNS_NAME]
)
def test_cmp_H3_a_sender_that_is_not_the_signers_subject_is_refused(sender: bytes) -> None:
    _, bit = refused(by_signature(BodyType.CR, REQUEST, sender=sender))

    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize(
    "sender", [directory_name(a_name("another").public_bytes()), NULL_NAME, A_DNS_NAME]
)
def test_cmp_H3_whatever_sender_stands_beside_a_reference_is_taken(sender: bytes) -> None:
    message = a_message(BodyType.IR, REQUEST, a_header(sender=sender))

    request = accepted(a_wire(message))

    (credential,) = request.credentials
    assert isinstance(credential, SharedSecretMAC)
    assert credential.username == "pump-1"


@pytest.mark.parametrize("recipient", [NULL_NAME, A_DNS_NAME, A_URI])
@pytest.mark.parametrize("recip_kid", [None, b"any"])
def test_cmp_H5_any_recipient_is_taken(recipient: bytes, recip_kid: bytes | None) -> None:
    message = by_signature(BodyType.CR, REQUEST, recipient=recipient, recip_kid=recip_kid)

    assert accepted(a_wire(message)).credentials


def test_cmp_H4_a_certificate_that_senderkid_does_not_mean_is_refused() -> None:
    _, bit = refused(by_signature(BodyType.CR, REQUEST, sender_kid=b"another"))

    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize("file", ["certificate-version-10", "certificate-extension-twice"])
def test_security_P14_a_certificate_that_only_loading_finds_broken_is_refused(file: str) -> None:
    octets = (CORPUS.parent / "cmp_exchange" / file).read_bytes()

    _, bit = refused(by_signature(BodyType.CR, REQUEST, extra_certs=[octets]))

    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize("purpose", [b"\x30\x00", b"\x03\x02\x07\x00"])
def test_cmp_P4_a_certificate_whose_usage_is_no_signature_is_refused(purpose: bytes) -> None:
    usage = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.15"), purpose)
    certificate = a_certificate(a_key(), "signer", usage).public_bytes(Encoding.DER)

    _, bit = refused(by_signature(BodyType.CR, REQUEST, extra_certs=[certificate]))

    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize("value", [b"\x0c\x02\xff\xff", b"\x03\x02\x00\x00"])
def test_cmp_P4_a_certificate_whose_issuer_cannot_be_read_signs_nothing(value: bytes) -> None:
    signer = a_signer()
    (octets,) = signer.extra_certs
    broken_name = octets.replace(b"\x0c\x02CA", value, 1)
    old = sequence(tlv(0xA4, a_name("CA").public_bytes()), integer(1))
    content = sequence(a_crm(number=0, controls=[(OLD_CERT_ID, old)]))

    _, bit = refused(by_signature(BodyType.KUR, content, signer=signer, extra_certs=[broken_name]))

    assert broken_name != octets
    assert bit is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize(
    "old", [bytes.fromhex("040130"), b"\x05\x00", sequence(), sequence(integer(1), integer(1))]
)
def test_an_update_of_another_certificate_is_refused(old: bytes) -> None:
    content = sequence(a_crm(number=0, controls=[(OLD_CERT_ID, old)]))

    _, bit = refused(by_signature(BodyType.KUR, content))

    assert bit is FailInfo.BAD_CERT_ID


def test_two_requests_and_a_request_of_another_number_are_refused() -> None:
    two = sequence(a_crm(number=0), a_crm(number=1))

    for content in (two, sequence(a_crm(number=1))):
        _, bit = refused(by_signature(BodyType.CR, content))
        assert bit is FailInfo.BAD_REQUEST


def test_a_request_that_proves_no_possession_is_refused_in_its_own_answer() -> None:
    content = sequence(a_crm(number=0, signer=a_key("p-256", 1)))

    _, bit = refused(by_signature(BodyType.IR, content))

    assert bit is FailInfo.BAD_POP


@pytest.mark.parametrize("name", ["ir", "ir-implicit", "p10cr"])
def test_cmp_P2_a_request_of_openssl_by_mac_asks_for_a_certificate(name: str) -> None:
    request = accepted(a_wire(from_client(name)))

    (credential,) = request.credentials
    assert isinstance(credential, SharedSecretMAC)
    assert credential.username == "pump-1"
    assert credential.is_of(SECRET.decode())
    assert not credential.is_of("another")
    assert request.operation is Operation.INITIAL


@pytest.mark.parametrize(
    ("name", "operation"), [("cr", Operation.INITIAL), ("kur", Operation.RENEWAL)]
)
def test_cmp_P4_a_request_of_openssl_by_signature_asks_for_a_certificate(
    name: str, operation: Operation
) -> None:
    request = accepted(a_wire(from_client(name)))

    (credential,) = request.credentials
    assert isinstance(credential, SignerCertificate)
    assert request.operation is operation


def test_cmp_P4_the_certificate_may_be_at_any_place_in_extra_certs() -> None:
    signer = a_signer()
    other = a_certificate(a_key("p-256", 1), "other").public_bytes(Encoding.DER)

    request = accepted(
        a_wire(by_signature(BodyType.CR, REQUEST, extra_certs=[other, *signer.extra_certs]))
    )

    (credential,) = request.credentials
    assert isinstance(credential, SignerCertificate)
    assert credential.leaf.subject == signer.certificate.subject


def test_an_update_of_the_certificate_that_signs_it_is_taken() -> None:
    signer = a_signer()
    old = sequence(
        tlv(0xA4, signer.certificate.issuer.public_bytes()),
        integer(signer.certificate.serial_number),
    )
    content = sequence(a_crm(number=0, controls=[(OLD_CERT_ID, old)]))

    assert accepted(a_wire(by_signature(BodyType.KUR, content))).operation is Operation.RENEWAL
