"""Controls of RFC 4211 §6 in requests over CMP, one by one."""

from collections.abc import Sequence

import pytest
from cryptography import x509
from pyasn1.codec.der import encoder

from enroll.certificates import CertificateStatus
from protocols.cmp.encode import directory_name
from protocols.cmp.messages import BodyType
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Answered, by_held, by_secret
from tests.support.crmf import (
    a_cert_request,
    a_crm,
    a_key_input,
    a_message,
    signature_over,
)
from tests.support.csr import a_key, a_name, sequence, spki_of, tlv
from tests.support.enrollment import a_new_key, open_site

REG_TOKEN = "1.3.6.1.5.5.7.5.1.1"
AUTHENTICATOR = "1.3.6.1.5.5.7.5.1.2"
PUBLICATION_INFO = "1.3.6.1.5.5.7.5.1.3"
ARCHIVE_OPTIONS = "1.3.6.1.5.5.7.5.1.4"
OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5"
PROTOCOL_ENCR_KEY = "1.3.6.1.5.5.7.5.1.6"
ALT_CERT_TEMPLATE = "1.3.6.1.5.5.7.5.1.7"
TEXT = tlv(0x0C, b"maiden name")
SAN = x509.SubjectAlternativeName([x509.DNSName("pump-1.example")])
PLEASE, DONT = integer(1), integer(0)
URI = tlv(0x86, b"http://example.test/")


async def asked(
    *controls: tuple[str, bytes], crm: bytes | None = None, **header: object
) -> Answered:
    """Ask for a certificate with a one-time code and these controls, and tell what was said."""
    site = await open_site()
    await site.register()
    client = by_secret(site, "pump-1", await site.code())
    content = sequence(crm or a_crm(number=0, controls=controls))
    answer = await client.send(BodyType.IR, content, **header)
    given = await site.certificates()
    assert [each.status for each in given] == (
        [CertificateStatus.PENDING_CONFIRM] if answer.status != 2 else []
    )
    return answer


def check_refused(answer: Answered, fail_info: str) -> None:
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


@pytest.mark.parametrize(
    "control",
    [
        (REG_TOKEN, TEXT),
        (AUTHENTICATOR, TEXT),
        (PUBLICATION_INFO, sequence(DONT)),
        (PUBLICATION_INFO, sequence(PLEASE)),
        (PUBLICATION_INFO, sequence(PLEASE, sequence(sequence(integer(0))))),
        (PUBLICATION_INFO, sequence(PLEASE, sequence(sequence(integer(2), URI)))),
        (ARCHIVE_OPTIONS, tlv(0x82, b"\x00")),
        (PROTOCOL_ENCR_KEY, spki_of(a_key("rsa-2048"))),
        ("1.3.6.1.4.1.99999.1", TEXT),
    ],
)
async def test_a_control_that_asks_for_nothing_else_is_passed_over(
    control: tuple[str, bytes],
) -> None:
    answer = await asked(control)

    assert answer.kind is BodyType.IP
    assert answer.status in {0, 1}


@pytest.mark.parametrize(
    "control",
    [
        (REG_TOKEN, tlv(0x0C)),
        (REG_TOKEN, tlv(0x04, b"token")),
        (REG_TOKEN, tlv(0x0C, b"\xff")),
        (AUTHENTICATOR, tlv(0x13, b"a name")),
        (PUBLICATION_INFO, sequence()),
        (PUBLICATION_INFO, sequence(integer(2))),
        (PUBLICATION_INFO, integer(1)),
        (PUBLICATION_INFO, sequence(DONT, sequence(sequence(integer(0))))),
        (PUBLICATION_INFO, sequence(PLEASE, sequence())),
        (PUBLICATION_INFO, sequence(PLEASE, sequence(sequence()))),
        (PUBLICATION_INFO, sequence(PLEASE, sequence(sequence(integer(4))))),
        (PUBLICATION_INFO, sequence(PLEASE, sequence(sequence(integer(0), URI)))),
        (PUBLICATION_INFO, sequence(PLEASE, sequence(sequence(integer(2), URI, URI)))),
        (PUBLICATION_INFO, sequence(PLEASE, integer(1))),
        (PROTOCOL_ENCR_KEY, TEXT),
        (PROTOCOL_ENCR_KEY, sequence(TEXT)),
    ],
)
async def test_a_control_that_contradicts_itself_is_baddataformat(
    control: tuple[str, bytes],
) -> None:
    check_refused(await asked(control), "badDataFormat")


@pytest.mark.parametrize(
    "value",
    [
        tlv(0xA0, sequence()),
        tlv(0x81, b"parameters"),
        tlv(0x82, b"\xff"),
        sequence(),
    ],
    ids=["encryptedPrivKey", "keyGenParameters", "archiveRemGenPrivKey", "none of them"],
)
async def test_nobodys_private_key_is_archived(value: bytes) -> None:
    check_refused(await asked((ARCHIVE_OPTIONS, value)), "badRequest")


async def test_certificates_of_other_kinds_are_not_to_be_had() -> None:
    check_refused(await asked((ALT_CERT_TEMPLATE, sequence())), "badCertTemplate")


async def test_a_control_that_is_there_twice_is_baddataformat() -> None:
    check_refused(await asked((REG_TOKEN, TEXT), (REG_TOKEN, TEXT)), "badDataFormat")


async def test_oldcertid_has_no_place_in_an_ir() -> None:
    old = sequence(tlv(0xA4, a_name().public_bytes()), integer(5))

    check_refused(await asked((OLD_CERT_ID, old)), "badRequest")


@pytest.mark.parametrize("kind", [BodyType.CR, BodyType.KUR])
async def test_regtoken_is_for_those_who_come_for_the_first_time(kind: BodyType) -> None:
    site = await open_site()
    held = await site.enroll()
    client = by_held(site, held, "operational" if kind is BodyType.CR else "bootstrap")

    answer = await client.send(
        kind, sequence(a_crm(a_new_key(), number=0, controls=[(REG_TOKEN, TEXT)]))
    )

    check_refused(answer, "badRequest")


def without_subject(sender: x509.Name, extensions: Sequence[x509.ExtensionType] = (SAN,)) -> bytes:
    """Make a request whose signature covers poposkInput."""
    key = a_key()
    request = a_cert_request(key, number=0, extensions=extensions, without_subject=True)
    key_input = a_key_input(key, sender)
    signed = encoder.encode(key_input)
    return a_message(request, signature_over(signed, key, key_input))


async def test_what_is_signed_in_place_of_the_request_names_who_sends_it() -> None:
    answer = await asked(crm=without_subject(a_name()))

    assert answer.status in {0, 1}


async def test_a_poposkinput_of_another_sender_is_badpop() -> None:
    check_refused(await asked(crm=without_subject(a_name("pump-2"))), "badPOP")


async def test_security_P15_under_a_mac_nobody_takes_the_poposkinput_of_another() -> None:
    """Whoever has a secret may call itself anything, and send what another device signed."""
    others = a_name("pump-2")
    named = directory_name(others.public_bytes())

    answer = await asked(crm=without_subject(others), sender=named)
    by_reference = await asked(crm=without_subject(a_name()), sender_kid=None)

    check_refused(answer, "badPOP")
    assert by_reference.status in {0, 1}


async def test_a_poposkinput_beside_a_subject_is_badpop() -> None:
    key = a_key()
    request = a_cert_request(key, number=0)
    key_input = a_key_input(key, a_name())
    crm = a_message(request, signature_over(encoder.encode(key_input), key, key_input))

    check_refused(await asked(crm=crm), "badPOP")


async def test_a_signature_without_subject_and_poposkinput_is_badpop() -> None:
    key = a_key()
    request = a_cert_request(key, number=0, extensions=[SAN], without_subject=True)
    crm = a_message(request, signature_over(encoder.encode(request), key))

    check_refused(await asked(crm=crm), "badPOP")


async def test_a_poposkinput_for_another_key_is_badpop() -> None:
    key, other = a_key(), a_new_key()
    request = a_cert_request(key, number=0, extensions=[SAN], without_subject=True)
    key_input = a_key_input(other, a_name())
    crm = a_message(request, signature_over(encoder.encode(key_input), other, key_input))

    check_refused(await asked(crm=crm), "badPOP")
