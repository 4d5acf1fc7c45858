"""Reading CMP messages: what openssl's client sends is read, what is no message is refused."""

import pytest
from cryptography import x509

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der, pkcs10
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.messages import (
    CA_CERTS,
    NULL_NAME,
    BodyType,
    CertConfirmContent,
    CertificationRequest,
    CertReqMessages,
    ErrorMsgContent,
    FailInfo,
    GenMsgContent,
    PKIStatus,
    PollReqContent,
    POPODecKeyRespContent,
    RevReqContent,
)
from protocols.crmf.messages import SignatureProof
from protocols.limits import DERLimits
from tests.support.cmp import SHA256, a_header, a_message, from_client, integer
from tests.support.csr import a_name, sequence, tlv

NAME = NULL_NAME
VERSION = integer(2)
BODY = tlv(0xB3, b"\x05\x00")
SERVED = {
    "IR",
    "CR",
    "KUR",
    "P10CR",
    "CERT_CONF",
    "POLL_REQ",
    "POPDECR",
    "GENM",
    "RR",
    "ERROR",
    "NESTED",
}


def refused(message: bytes) -> EnrollmentError:
    with pytest.raises(Malformed) as caught:
        decode_body(decode(message))
    return caught.value


def with_body(body_type: BodyType, content: bytes) -> EnrollmentError:
    return refused(a_message(body_type, content))


def utf8(text: str) -> bytes:
    return tlv(0x0C, text.encode())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"abc",
        sequence(),
        sequence(sequence(VERSION, NAME, NAME)),
        sequence(sequence(VERSION, NAME), BODY),
        sequence(sequence(NAME, VERSION, NAME), BODY),
        sequence(sequence(VERSION, NAME, tlv(0x0C, b"CA")), BODY),
        sequence(sequence(VERSION, NAME, tlv(0xA9, b"")), BODY),
        sequence(sequence(VERSION, NAME, NAME), tlv(0xB3)),
        sequence(sequence(VERSION, NAME, NAME), tlv(0xB3, b"\x05\x00", b"\x05\x00")),
        sequence(sequence(VERSION, NAME, NAME), tlv(0xBB, b"\x05\x00")),
        sequence(sequence(VERSION, NAME, NAME), tlv(0x30, b"\x05\x00")),
        sequence(sequence(VERSION, NAME, NAME), BODY, tlv(0xA2, b"\x05\x00")),
        sequence(sequence(VERSION, NAME, NAME), BODY, tlv(0xA0, tlv(0x04, b"\0"))),
        sequence(sequence(VERSION, NAME, NAME), BODY, tlv(0xA0, tlv(0x03, b"\x01\x02"))),
        sequence(sequence(VERSION, NAME, NAME), BODY, tlv(0xA1, sequence())),
        sequence(sequence(VERSION, NAME, NAME), BODY, tlv(0xA1, sequence(VERSION))),
        tlv(0x31, sequence(VERSION, NAME, NAME), BODY),
    ],
)
def test_cmp_E2_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        decode(message)


@pytest.mark.parametrize(
    "fields",
    [
        tlv(0xA9, b"\x05\x00"),
        tlv(0xA4, tlv(0x04, b"1")) + tlv(0xA2, tlv(0x04, b"1")),
        tlv(0xA4, tlv(0x04, b"1")) * 2,
        tlv(0xA4, tlv(0x0C, b"1")),
        tlv(0xA4, tlv(0x04, b"1"), tlv(0x04, b"1")),
        tlv(0xA4, tlv(0x04, bytes(129))),
        tlv(0x84, b"1"),
        tlv(0xA1, sequence()),
        tlv(0xA1, sequence(VERSION)),
        tlv(0xA7, sequence()),
        tlv(0xA7, sequence(tlv(0x0C, b"\xff"))),
        tlv(0xA8, sequence(sequence())),
        tlv(0xA8, sequence(*[sequence(CA_CERTS)] * 51)),
    ],
)
def test_cmp_E2_a_header_of_another_form_is_refused(fields: bytes) -> None:
    with pytest.raises(Malformed):
        decode(sequence(sequence(VERSION, NAME, NAME, fields), BODY))


@pytest.mark.parametrize(
    "sender",
    [
        tlv(0xA4),
        tlv(0xA4, tlv(0x31)),
        tlv(0xA4, sequence(), sequence()),
        tlv(0xA4, sequence(sequence())),
        tlv(0xA4, sequence(tlv(0x31))),
        tlv(0xA4, sequence(tlv(0x31, integer(1)))),
        tlv(0xA4, sequence(tlv(0x31, sequence(tlv(0x0C, b"CN"), tlv(0x0C, b"pump-1"))))),
        tlv(0xA4, sequence(tlv(0x31, sequence(bytes.fromhex("0603550403"))))),
        tlv(0x84, sequence()),
        tlv(0xA0, sequence()),
        tlv(0x81, b"pump\xff"),
        tlv(0x87, bytes(4)),
    ],
)
def test_cmp_H3_a_sender_that_no_answer_could_repeat_is_refused(sender: bytes) -> None:
    with pytest.raises(Malformed):
        decode(sequence(sequence(VERSION, sender, NAME), BODY))


@pytest.mark.parametrize("sender", [NAME, tlv(0x81, b"pump@example.org"), tlv(0x82, b"pump")])
def test_cmp_H3_a_sender_without_a_name_or_with_an_address_is_read(sender: bytes) -> None:
    assert decode(sequence(sequence(VERSION, sender, NAME), BODY)).header.sender == sender


@pytest.mark.parametrize(
    "time",
    [
        tlv(0x17, b"261125120000Z"),
        tlv(0x18, b"20261125120000"),
        tlv(0x18, b"20261125120000.5Z"),
        tlv(0x18, b"20261125120000+01"),
        tlv(0x18, b"202611251200Z"),
        tlv(0x18, b"20261325120000Z"),
        tlv(0x18, b"2026-1-2512000Z"),
    ],
)
def test_cmp_H6_a_time_in_another_form_is_refused(time: bytes) -> None:
    with pytest.raises(Malformed):
        decode(sequence(sequence(VERSION, NAME, NAME, tlv(0xA0, time)), BODY))


@pytest.mark.parametrize("name", ["ir", "cr", "genm", "rr"])
def test_cmp_E2_octets_that_are_cut_off_or_added_are_refused(name: str) -> None:
    message = from_client(name)

    for end in range(len(message)):
        with pytest.raises(Malformed):
            decode(message[:end])
    with pytest.raises(Malformed):
        decode(message + b"\0")


def test_security_P14_a_hundred_certificates_are_refused() -> None:
    many = a_message(
        BodyType.GENM, sequence(), extra_certs=[sequence(integer(n)) for n in range(100)]
    )

    with pytest.raises(Malformed) as caught:
        decode(many)
    assert caught.value.finding == "extra_certs"


def test_cmp_T9_a_message_beyond_the_limits_is_refused() -> None:
    message = from_client("ir")

    with pytest.raises(Malformed):
        decode(message, DERLimits(octets=len(message) - 1))
    with pytest.raises(Malformed):
        decode(message, DERLimits(depth=4))
    with pytest.raises(Malformed):
        decode(message, DERLimits(nodes=20))


@pytest.mark.parametrize("body_type", [each for each in BodyType if each.name not in SERVED])
def test_security_P7_a_body_that_no_client_sends_is_refused(body_type: BodyType) -> None:
    error = with_body(body_type, sequence())

    assert error.finding == "body_unsupported"


@pytest.mark.parametrize("body_type", BodyType)
@pytest.mark.parametrize(
    "content", [b"\x05\x00", sequence(b"\x05\x00"), sequence(sequence()), integer(1)]
)
def test_security_P7_a_body_of_another_form_is_refused(body_type: BodyType, content: bytes) -> None:
    message = decode(a_message(body_type, content))
    # Of these it is read later what they hold.
    holds = {
        BodyType.P10CR: content != integer(1),
        BodyType.NESTED: content == sequence(sequence()),
    }

    if not holds.get(body_type):
        with pytest.raises(Malformed):
            decode_body(message)


@pytest.mark.parametrize(
    "status",
    [
        sequence(integer(0), tlv(0x04, b"1")),
        sequence(tlv(0x04, b"")),
        sequence(tlv(0x04, b"")) + sequence(),
        sequence(tlv(0x04, bytes(65)), integer(0)),
        sequence(tlv(0x04, b"1"), integer(0), tlv(0xA0, integer(1))),
        sequence(tlv(0x04, b"1"), integer(0), tlv(0xA0, SHA256), sequence(integer(0))),
        sequence(tlv(0x04, b"1"), integer(0), sequence(integer(7))),
        sequence(tlv(0x04, b"1"), integer(0), sequence(integer(0), integer(0))),
        sequence(tlv(0x04, b"1"), integer(0)) * 21,
    ],
)
def test_a_confirmation_of_another_form_is_refused(status: bytes) -> None:
    with_body(BodyType.CERT_CONF, sequence(status))


def test_a_message_of_openssl_is_read_with_its_header() -> None:
    message = decode(from_client("ir"))

    header = message.header
    assert header.pvno == 2
    assert header.sender_name == a_name("dev0").public_bytes()
    assert header.sender_kid == b"pump-1"
    assert header.message_time is not None
    assert len(header.transaction_id or b"") == len(header.sender_nonce or b"") == 16
    assert header.recip_nonce is None
    assert not header.implicit_confirm
    assert message.body_type is BodyType.IR
    assert sequence(message.header_octets, message.body_octets) == message.protected_part
    assert message.protected_part[4:] in from_client("ir")


def test_cmp_H11_the_wish_for_implicit_confirmation_is_read() -> None:
    message = decode(from_client("ir-implicit"))

    assert message.header.implicit_confirm


@pytest.mark.parametrize(("name", "number"), [("ir", 0), ("cr", 0), ("kur", 0)])
def test_requests_of_openssl_are_read(name: str, number: int) -> None:
    body = decode_body(decode(from_client(name)))

    assert isinstance(body, CertReqMessages)
    (request,) = body.messages
    assert request.request_id == number
    assert isinstance(request.proof, SignatureProof)


def test_a_pkcs10_request_of_openssl_is_read() -> None:
    body = decode_body(decode(from_client("p10cr")))

    assert isinstance(body, CertificationRequest)
    assert pkcs10.decode(body.der).subject == a_name("dev0")


@pytest.mark.parametrize(("name", "reasons"), [("rr", (b"\x0a\x01\x01",)), ("rr-no-reason", ())])
def test_a_revocation_of_openssl_is_read(name: str, reasons: tuple[bytes, ...]) -> None:
    message = decode(from_client(name))

    body = decode_body(message)
    assert isinstance(body, RevReqContent)
    (details,) = body.details
    certificate = x509.load_der_x509_certificate(message.extra_certs[0])
    assert details.template.serial_number == certificate.serial_number
    assert details.template.issuer == certificate.issuer.public_bytes()
    assert details.reasons == reasons


def test_a_general_message_of_openssl_is_read() -> None:
    body = decode_body(decode(from_client("genm")))

    assert isinstance(body, GenMsgContent)
    (info,) = body.infos
    assert (info.info_type, info.info_value) == (CA_CERTS, None)


def test_a_confirmation_is_read_with_its_status_and_hash() -> None:
    status = sequence(integer(2), sequence(utf8("wrong")), tlv(0x03, b"\x06\x00\x40"))
    content = sequence(
        sequence(tlv(0x04, b"hash"), integer(-1), status, tlv(0xA0, SHA256)),
        sequence(tlv(0x04, b"hash"), integer(0)),
    )

    body = decode_body(decode(a_message(BodyType.CERT_CONF, content)))

    assert isinstance(body, CertConfirmContent)
    first, second = body.statuses
    assert (first.cert_hash, first.cert_req_id, first.hash_alg) == (b"hash", -1, SHA256)
    assert first.status_info is not None
    assert first.status_info.status is PKIStatus.REJECTION
    assert first.status_info.texts == ("wrong",)
    assert first.status_info.fail_info == {FailInfo.BAD_POP}
    assert (second.status_info, second.hash_alg) == (None, None)


def test_an_empty_confirmation_and_a_poll_are_read() -> None:
    confirmation = decode_body(decode(a_message(BodyType.CERT_CONF, sequence())))
    poll = decode_body(decode(a_message(BodyType.POLL_REQ, sequence(sequence(integer(-1))))))

    assert confirmation == CertConfirmContent(statuses=())
    assert poll == PollReqContent(cert_req_ids=(-1,))


def test_cmp_E3_an_error_of_a_client_is_read() -> None:
    content = sequence(sequence(integer(2)), integer(7), sequence(utf8("why")))

    body = decode_body(decode(a_message(BodyType.ERROR, content)))

    assert isinstance(body, ErrorMsgContent)
    assert (body.error_code, body.details) == (7, ("why",))


def test_cmp_H1_the_version_is_read_whatever_it_is() -> None:
    assert decode(a_message(BodyType.GENM, sequence(), a_header(pvno=-5))).header.pvno == -5


def test_cmp_H13_unknown_general_info_is_passed_over_and_profiles_are_read() -> None:
    unknown = sequence(bytes.fromhex("06032a0304"), integer(1))
    profiles = sequence(
        bytes.fromhex("06082b06010505070415"), sequence(utf8("operational"), utf8(""))
    )
    odd_wait = sequence(bytes.fromhex("06082b0601050507040e"), tlv(0x17, b"261125120000Z"))
    fields = tlv(0xA8, sequence(unknown, profiles, odd_wait))

    header = decode(sequence(sequence(VERSION, NAME, NAME, fields), BODY)).header

    assert header.cert_profile == ("operational", "")
    assert header.confirm_wait_time is None


def test_a_message_from_nobody_is_malformed_data() -> None:
    error = refused(b"\x30\x00")

    assert error.reason is FailureReason.MALFORMED_REQUEST
    assert der.split(NULL_NAME)[0].content == sequence()


def test_the_numbers_of_a_popdecr_are_read_as_they_came() -> None:
    body = sequence(integer(5), integer(2**128))

    read = decode_body(decode(a_message(BodyType.POPDECR, body)))

    assert read == POPODecKeyRespContent(numbers=(b"\x05", b"\x01" + bytes(16)))


@pytest.mark.parametrize(
    "content", [sequence(), sequence(tlv(0x04, b"\x05")), tlv(0x02, b"\x05"), sequence(sequence())]
)
def test_a_popdecr_without_numbers_is_refused(content: bytes) -> None:
    assert with_body(BodyType.POPDECR, content).finding == "malformed_request"
