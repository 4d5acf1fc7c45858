"""Writing CMP messages: pyasn1-modules reads them, and writes the same octets again."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc4210

from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.encode import (
    ACCEPTED,
    CertResponse,
    answer_header,
    directory_name,
    encode_cert_responses,
    encode_certificates,
    encode_error,
    encode_general_response,
    encode_message,
    encode_pki_confirm,
    encode_poll_response,
    encode_revocation_response,
    encode_root_update,
    encode_status,
)
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import (
    CA_CERTS,
    CURRENT_CRL,
    ROOT_CA_KEY_UPDATE,
    BodyType,
    ErrorMsgContent,
    FailInfo,
    InfoTypeAndValue,
    PKIHeader,
    PKIStatus,
    PKIStatusInfo,
)
from tests.support.cmp import SECRET, a_header, a_message, check_form, from_client, pbm
from tests.support.csr import a_name, sequence

CERTIFICATE = decode(from_client("rr")).extra_certs[0]
SERIAL_NUMBER = x509.load_der_x509_certificate(CERTIFICATE).serial_number
NOW = datetime(2026, 11, 25, 12, 30, 5, tzinfo=UTC)
REJECTED = PKIStatusInfo(
    status=PKIStatus.REJECTION,
    texts=("The device is not known. Größe", "again"),
    fail_info=frozenset({FailInfo.BAD_POP, FailInfo.DUPLICATE_CERT_REQ}),
)

headers = st.builds(
    PKIHeader,
    pvno=st.integers(-300, 300),
    sender=st.just(directory_name(a_name().public_bytes())),
    recipient=st.just(directory_name(a_name("CA").public_bytes())),
    message_time=st.none()
    | st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1)).map(  # noqa: DTZ001 - the zone follows
        lambda each: each.replace(microsecond=0, tzinfo=UTC)
    ),
    sender_kid=st.none() | st.binary(max_size=128),
    recip_kid=st.none() | st.binary(max_size=128),
    transaction_id=st.none() | st.binary(max_size=128),
    sender_nonce=st.none() | st.binary(max_size=128),
    recip_nonce=st.none() | st.binary(max_size=128),
    free_text=st.lists(st.text(st.characters(codec="utf-8")), max_size=20).map(tuple),
    implicit_confirm=st.booleans(),
    confirm_wait_time=st.none() | st.just(NOW),
    cert_profile=st.lists(st.text(st.characters(codec="utf-8")), max_size=20).map(tuple),
)


def written(body: bytes, header: PKIHeader | None = None) -> rfc4210.PKIMessage:
    """Write a message of an answer, and let pyasn1-modules judge it."""
    message = encode_message(
        header or a_header(), body, derive_key(pbm(), SECRET), [CERTIFICATE, CERTIFICATE]
    )
    return check_form(message)


@pytest.mark.parametrize(("asked", "answered"), [(2, 2), (3, 3), (1, 2), (-1, 2), (4, 3), (99, 3)])
def test_cmp_H1_the_answer_has_the_version_of_the_request_or_the_nearest(
    asked: int, answered: int
) -> None:
    header = answer_header(a_header(pvno=asked), sender=b"", sender_kid=None, now=NOW)

    assert header.pvno == answered


def test_cmp_H15_the_answer_turns_the_header_round() -> None:
    request = decode(from_client("ir")).header
    sender = directory_name(a_name("CA").public_bytes())

    header = answer_header(
        request, sender=sender, sender_kid=b"kid", now=NOW.astimezone(timezone(timedelta(hours=5)))
    )

    found = written(encode_pki_confirm(), header)["header"]
    assert encoder.encode(found["recipient"]) == request.sender
    assert encoder.encode(found["sender"]) == sender
    assert bytes(found["transactionID"]) == request.transaction_id
    assert bytes(found["recipNonce"]) == request.sender_nonce
    assert len(bytes(found["senderNonce"])) == 16
    assert bytes(found["senderKID"]) == b"kid"
    assert str(found["messageTime"]) == "20261125123005Z"
    again = answer_header(request, sender=sender, sender_kid=b"kid", now=NOW)
    assert header.sender_nonce not in {again.sender_nonce, request.sender_nonce}


def test_a_message_is_protected_over_header_and_body_and_bears_each_certificate_once() -> None:
    key = derive_key(pbm(), SECRET)

    found = written(encode_pki_confirm())

    part = rfc4210.ProtectedPart()
    part["header"], part["infoValue"] = found["header"], found["body"]
    assert found["protection"].asOctets() == key.protect(encoder.encode(part))
    assert len(found["extraCerts"]) == 1
    assert encoder.encode(found["extraCerts"][0]) == CERTIFICATE


def test_a_message_may_go_without_protection() -> None:
    found = check_form(encode_message(a_header(), encode_error(REJECTED), None))

    assert not found["protection"].hasValue()
    assert not found["header"]["protectionAlg"].hasValue()


@pytest.mark.parametrize("body_type", [BodyType.IP, BodyType.CP, BodyType.KUP])
def test_a_certificate_is_answered(body_type: BodyType) -> None:
    response = CertResponse(cert_req_id=-1, status=ACCEPTED, certificate=CERTIFICATE)

    found = written(encode_cert_responses(body_type, [response], [CERTIFICATE]))

    content = found["body"][body_type.name.lower()]
    (answer,) = content["response"]
    assert int(answer["certReqId"]) == -1
    assert int(answer["status"]["status"]) == 0
    certificate = answer["certifiedKeyPair"]["certOrEncCert"]["certificate"]
    assert int(certificate["tbsCertificate"]["serialNumber"]) == SERIAL_NUMBER
    assert len(content["caPubs"]) == 1


def test_cmp_E4_a_rejection_and_a_wait_bear_no_certificate() -> None:
    responses = [
        CertResponse(cert_req_id=0, status=REJECTED),
        CertResponse(cert_req_id=1, status=PKIStatusInfo(status=PKIStatus.WAITING)),
    ]

    found = written(encode_cert_responses(BodyType.IP, responses))

    rejected, waiting = found["body"]["ip"]["response"]
    assert not rejected["certifiedKeyPair"].hasValue()
    assert [number for number, bit in enumerate(rejected["status"]["failInfo"]) if bit] == [9, 26]
    assert [str(each) for each in rejected["status"]["statusString"]] == list(REJECTED.texts)
    assert int(waiting["status"]["status"]) == 3
    assert not found["body"]["ip"]["caPubs"].hasValue()


@pytest.mark.parametrize("fail_info", FailInfo)
def test_cmp_E1_each_bit_of_failure_is_where_it_belongs(fail_info: FailInfo) -> None:
    status = PKIStatusInfo(status=PKIStatus.REJECTION, fail_info=frozenset({fail_info}))

    octets = encode_status(status)

    found, rest = decoder.decode(octets, asn1Spec=rfc4210.PKIStatusInfo())
    assert not rest
    assert encoder.encode(found) == octets
    bits = [number for number, bit in enumerate(found["failInfo"]) if bit]
    assert bits == [fail_info]


def test_an_error_says_why() -> None:
    found = written(encode_error(REJECTED))

    info = found["body"]["error"]["pKIStatusInfo"]
    assert [number for number, bit in enumerate(info["failInfo"]) if bit] == [9, 26]
    message = a_message(BodyType.ERROR, encode_error(REJECTED)[2:])
    assert isinstance(decode_body(decode(message)), ErrorMsgContent)


def test_a_confirmation_is_null() -> None:
    assert written(encode_pki_confirm())["body"]["pkiconf"].hasValue()


@pytest.mark.parametrize("reason", [None, "a person decides"])
def test_a_poll_is_answered_with_when_to_ask_again(reason: str | None) -> None:
    found = written(encode_poll_response([-1, 0], 300, reason))

    first, second = found["body"]["pollRep"]
    assert (int(first["certReqId"]), int(second["certReqId"])) == (-1, 0)
    assert int(first["checkAfter"]) == 300


def test_a_revocation_is_answered_in_order() -> None:
    found = written(encode_revocation_response([ACCEPTED, REJECTED]))

    assert [int(each["status"]) for each in found["body"]["rp"]["status"]] == [0, 2]


def test_cmp_H13_what_is_not_known_is_named() -> None:
    infos = [
        InfoTypeAndValue(info_type=CA_CERTS, info_value=encode_certificates([CERTIFICATE])),
        InfoTypeAndValue(info_type=ROOT_CA_KEY_UPDATE),
    ]

    found = written(encode_general_response(infos, [CURRENT_CRL]))

    certificates, update, unsupported = found["body"].getComponent()
    assert str(certificates["infoType"]) == "1.3.6.1.5.5.7.4.17"
    assert not update["infoValue"].hasValue()
    assert str(unsupported["infoType"]) == "1.3.6.1.5.5.7.4.7"
    assert bytes(unsupported["infoValue"]) == sequence(CURRENT_CRL)


def test_a_root_is_renewed_with_its_two_links() -> None:
    alone = encode_root_update(CERTIFICATE)
    linked = encode_root_update(CERTIFICATE, CERTIFICATE, CERTIFICATE)

    assert alone == sequence(CERTIFICATE)
    found, _ = decoder.decode(linked)
    assert len(found) == 3


@given(headers)
def test_a_header_that_is_written_is_read_again(header: PKIHeader) -> None:
    message = encode_message(header, encode_pki_confirm(), None)

    assert decode(message).header == header


@given(
    st.builds(
        PKIStatusInfo,
        status=st.sampled_from(PKIStatus),
        texts=st.lists(st.text(st.characters(codec="utf-8")), max_size=20).map(tuple),
        fail_info=st.frozensets(st.sampled_from(FailInfo)),
    )
)
def test_a_status_that_is_written_is_read_again(status: PKIStatusInfo) -> None:
    message = encode_message(a_header(), encode_error(status), None)

    body = decode_body(decode(message))
    assert isinstance(body, ErrorMsgContent)
    assert body.status_info == status
