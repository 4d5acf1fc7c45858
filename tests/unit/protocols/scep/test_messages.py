"""Messages that are odd, wrong or hostile, and what each is told."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.x509 import ObjectIdentifier

from enroll.failures import EnrollmentError, FailureReason
from enroll.options import SCEPOptions
from protocols.cms.content_info import SIGNED_DATA
from protocols.cms.digests import Digest
from protocols.scep.failures import REFUSED
from protocols.scep.handler import SCEPHandler
from protocols.scep.messages import MessageType
from protocols.wire import ProtocolViolation, WireResponse
from tests.support.arrangements import WRONG_CODE
from tests.support.csr import a_csr, a_key, raw_csr, tlv
from tests.support.enrollment import Site, new_keys_are_rsa, open_site
from tests.support.scep import (
    NONCE,
    CertRep,
    FixedServices,
    Message,
    a_pkcs_req,
    a_renewal,
    a_scep_wire,
    an_endpoint,
    an_ra,
    by_get,
    printable,
    read_answer,
    self_signed,
    send,
)

KEY = a_key("rsa-2048")
OTHER_KEY = a_key("rsa-2048", 1)
OTHER_TYPE = ObjectIdentifier("1.2.840.113549.1.7.5")


def refused_by_http(message: bytes) -> WireResponse:
    with pytest.raises(ProtocolViolation) as raised:
        SCEPHandler(FixedServices()).receive(a_scep_wire(body=message))
    return raised.value.response


def refused(message: Message | bytes, options: SCEPOptions | None = None) -> EnrollmentError:
    octets = message if isinstance(message, bytes) else message.encode()
    services = FixedServices(by_label={None: options or SCEPOptions()})
    with pytest.raises(EnrollmentError) as raised:
        SCEPHandler(services).receive(a_scep_wire(body=octets))
    return raised.value


async def a_site_with_a_code() -> tuple[Site, str]:
    site = await open_site()
    await site.register()
    return site, await site.code()


def flipped(octets: bytes, at: int = -1) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "element",
    [
        b"",
        printable(""),
        printable("x" * 256),
        tlv(0x04, b"t-1"),
        tlv(0x13, b"\xff"),
        tlv(0x1E, b"\x00t"),
    ],
    ids=["none", "empty", "256 characters", "octets", "no ASCII", "BMPString"],
)
def test_scep_17_a_message_without_a_readable_transaction_is_http_400(element: bytes) -> None:
    answer = refused_by_http(a_pkcs_req(transaction_id=element).encode())

    assert answer.status == 400


@pytest.mark.parametrize("nonce", [None, b"", bytes(65)])
def test_scep_18_a_message_without_a_readable_nonce_is_http_400(nonce: bytes | None) -> None:
    assert refused_by_http(a_pkcs_req(nonce=nonce).encode()).status == 400


@pytest.mark.parametrize("body", [b"", b"\x30", b"GET", bytes(100), a_csr()])
def test_what_is_no_message_at_all_is_http_400(body: bytes) -> None:
    assert refused_by_http(body).status == 400


def test_an_unreadable_message_in_a_url_is_http_400() -> None:
    wire = a_scep_wire(method="GET", query="operation=PKIOperation&message=*")

    with pytest.raises(ProtocolViolation) as raised:
        SCEPHandler(FixedServices()).receive(wire)

    assert raised.value.response.status == 400


@pytest.mark.parametrize(
    "element",
    [
        printable("t-1"),
        printable("fdiZZ5QB6Iy1pf9TdUdFqfMsJvQ="),
        printable("7" * 77),
        printable("SSCEP transactionId"),
        printable("0"),
        printable("x" * 255),
        tlv(0x0C, "ü-1".encode()),
        tlv(0x16, b"t-1"),
    ],
)
async def test_scep_17_a_transaction_id_comes_back_as_it_was(element: bytes) -> None:
    site, code = await a_site_with_a_code()

    answer = await send(site, a_pkcs_req(code=code, transaction_id=element).encode())

    assert read_answer(answer).transaction_id == element


@pytest.mark.parametrize("nonce", [NONCE, b"\x01", bytes(64)])
async def test_scep_18_a_nonce_of_any_length_comes_back_with_a_fresh_one_of_16(
    nonce: bytes,
) -> None:
    site, code = await a_site_with_a_code()
    message = a_pkcs_req(code=code, nonce=nonce).encode()

    first, second = [read_answer(await send(site, message)) for _ in range(2)]

    assert first.recipient_nonce == second.recipient_nonce == nonce
    assert len(first.sender_nonce) == len(second.sender_nonce) == 16
    assert first.sender_nonce != second.sender_nonce


async def test_scep_19_no_message_type_but_the_two_that_enroll_leads_to_a_certificate() -> None:
    site, code = await a_site_with_a_code()
    enrolling = {MessageType.PKCS_REQ, MessageType.RENEWAL_REQ}

    for kind in range(256):
        if kind in enrolling:
            continue
        reply = read_answer(await send(site, a_pkcs_req(code=code, kind=kind).encode()))

        assert (reply.status, reply.envelope) == ("2", None), kind
    assert await site.certificates() == []


async def test_scep_19_no_message_type_but_the_two_renews_either() -> None:
    with new_keys_are_rsa():
        site = await open_site()
        held = await site.enroll()

        for kind in range(256):
            if kind in {17, 19}:
                continue
            reply = read_answer(await send(site, a_renewal(held, kind=kind).encode()))

            assert reply.status == "2", kind
        assert len(await site.certificates()) == 1


@pytest.mark.parametrize(
    "kind", ["", "019", "+19", " 19", "19 ", "0x13", "1\N{FULLWIDTH DIGIT NINE}", "-1", "999999"]
)
def test_scep_19_a_message_type_has_one_spelling(kind: str) -> None:
    message = a_pkcs_req(kind=kind)

    assert refused(message).finding == "message_type_unknown"


def test_scep_4_the_update_of_old_drafts_is_unknown() -> None:
    error = refused(a_pkcs_req(kind=18))

    assert (error.reason, error.finding) == (
        FailureReason.MALFORMED_REQUEST,
        "message_type_unknown",
    )


def test_scep_33_a_broken_signature_is_bad_message_check() -> None:
    assert refused(flipped(a_pkcs_req().encode())).reason is FailureReason.BAD_MESSAGE_CHECK


def test_scep_33_a_changed_envelope_is_bad_message_check() -> None:
    message = a_pkcs_req()
    octets = message.encode()
    at = octets.index(bytes.fromhex("060960864801650304012a")) + 40

    assert refused(flipped(octets, at)).reason is FailureReason.BAD_MESSAGE_CHECK


def test_scep_46_a_signer_whose_certificate_is_missing_is_bad_message_check() -> None:
    stranger = self_signed(OTHER_KEY)

    for others in ((), (stranger.der,)):
        error = refused(a_pkcs_req(with_signer=False, others=others))

        assert error.reason is FailureReason.BAD_MESSAGE_CHECK


def test_scep_33_sha1_is_bad_alg_where_the_profile_does_not_take_it() -> None:
    error = refused(a_pkcs_req(digest=Digest.SHA1))

    assert error.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_scep_16_signed_content_of_another_type_is_refused() -> None:
    error = refused(a_pkcs_req(outer_type=OTHER_TYPE))

    assert (error.reason, error.finding) == (
        FailureReason.MALFORMED_REQUEST,
        "content_type_wrong",
    )


@pytest.mark.parametrize("kind", [17, 19, 20, 21, 22])
def test_scep_50_a_message_without_an_envelope_is_refused(kind: int) -> None:
    def nothing(envelope: bytes) -> bytes:
        del envelope
        return b""

    assert refused(a_pkcs_req(kind=kind, spoil=nothing)).finding == "envelope_missing"


def test_scep_22_a_self_signed_renewal_is_refused_whatever_code_it_holds() -> None:
    error = refused(a_pkcs_req(code=WRONG_CODE, kind=17))

    assert (error.reason, error.finding) == (
        FailureReason.NOT_AUTHENTICATED,
        "signer_self_signed",
    )


def test_scep_20_a_request_signed_with_another_key_than_its_own_is_refused() -> None:
    error = refused(replace(a_pkcs_req(KEY), content=a_csr(OTHER_KEY)))

    assert (error.reason, error.finding) == (
        FailureReason.NOT_AUTHENTICATED,
        "signer_key_mismatch",
    )


def test_scep_21_a_request_that_does_not_prove_its_key_is_refused() -> None:
    error = refused(replace(a_pkcs_req(), content=flipped(a_csr(KEY))))

    assert error.reason is FailureReason.NOT_AUTHENTICATED


def test_scep_33_an_algorithm_of_the_request_is_named_to_whoever_made_it() -> None:
    own = raw_csr(key=KEY, algorithm=bytes.fromhex("300d06092a864886f70d0101040500"))

    assert refused(replace(a_pkcs_req(KEY), content=own)).reason is (
        FailureReason.UNSUPPORTED_ALGORITHM
    )
    assert refused(replace(a_pkcs_req(OTHER_KEY), content=own)).reason is (
        FailureReason.NOT_AUTHENTICATED
    )


def test_scep_49_a_sealed_content_of_another_type_is_refused() -> None:
    error = refused(a_pkcs_req(inner_type=SIGNED_DATA))

    assert error.reason is FailureReason.NOT_AUTHENTICATED


@pytest.mark.parametrize("kind", [17, 19])
async def test_scep_49_an_issuer_and_serial_number_is_no_request(kind: int) -> None:
    with new_keys_are_rsa():
        site = await open_site()
        held = await site.enroll()
    content = bytes.fromhex("3005 3000 020101")

    error = refused(Message(signer=held, content=content, kind=kind))

    assert error.reason is FailureReason.NOT_AUTHENTICATED


def _padding(message: Message) -> Message:
    return replace(message, spoil=flipped)


def _key(message: Message) -> Message:
    """Spoil what RSA decrypts: OpenSSL then gives another key without a word."""
    return replace(message, spoil=lambda envelope: flipped(envelope, 300))


SPOILED: dict[str, Callable[[Message], Message]] = {
    "padding or content": _padding,
    "key": _key,
    "DER": lambda message: replace(message, content=message.content[:-1]),
    "no CSR": lambda message: replace(message, content=b"\x30\x00"),
    "signature": lambda message: replace(message, content=flipped(message.content)),
    "foreign key": lambda message: replace(message, content=a_csr(OTHER_KEY)),
    "foreign recipient": lambda message: replace(message, ra=an_ra(7)),
    "wrong code": lambda message: replace(
        message, content=a_csr(KEY, challenge_password=WRONG_CODE)
    ),
    "no code": lambda message: replace(message, content=a_csr(KEY)),
    "self-signed renewal": lambda message: replace(message, kind=17),
    "unknown type": lambda message: replace(message, kind=99),
}


async def test_scep_33_whatever_is_wrong_before_anything_is_proven_is_told_in_one_way() -> None:
    site, code = await a_site_with_a_code()
    replies: dict[str, tuple[CertRep, int]] = {}

    for name, spoil in SPOILED.items():
        answer = await send(site, spoil(a_pkcs_req(KEY, code)).encode())
        replies[name] = read_answer(answer), len(answer.body)

    told = {
        (reply.status, reply.fail_info, reply.text, reply.recipient_nonce, length)
        for reply, length in replies.values()
    }
    (length,) = {length for _, length in replies.values()}
    assert told == {("2", "2", REFUSED, NONCE, length)}
    assert await site.certificates() == []


async def test_scep_33_findings_tell_the_operator_what_the_answer_does_not() -> None:
    site, code = await a_site_with_a_code()

    for spoil in SPOILED.values():
        await send(site, spoil(a_pkcs_req(KEY, code)).encode())

    found = {each.finding for each in await site.attempts()}
    assert {
        "signer_key_mismatch",
        "signer_self_signed",
        "message_type_unknown",
        "code_wrong",
        "no_credential",
    } <= found


async def test_wrong_codes_slow_their_address_down_before_anything_is_parsed() -> None:
    site, _ = await a_site_with_a_code()
    message = a_pkcs_req(code=WRONG_CODE).encode()
    endpoint = await an_endpoint(site, burst=2)
    wire = a_scep_wire(body=message)

    statuses = [(await endpoint(wire)).status for _ in range(4)]

    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_scep_13_a_message_by_get_is_the_same_as_by_post() -> None:
    site, code = await a_site_with_a_code()
    endpoint = await an_endpoint(site)

    answer = await endpoint(by_get(a_pkcs_req(code=code).encode()))

    assert read_answer(answer).status == "0"
