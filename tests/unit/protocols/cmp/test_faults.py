"""How a message with a fault is answered: its ids, and the protection that its sender knows."""

import os

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocols import der
from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name
from protocols.cmp.messages import BodyType
from protocols.cmp.protection import verify_signature
from protocols.cmp.salvage import salvage_header
from tests.support.cmp import (
    HMAC_SHA256,
    SHA256,
    a_certificate,
    from_client,
    integer,
    pbm,
    pbmac1,
    verify_mac,
)
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Answered,
    Client,
    a_message_signer,
    by_held,
    by_secret,
    content_of,
    read,
)
from tests.support.crmf import a_crm
from tests.support.csr import a_key, a_name, sequence, tlv
from tests.support.enrollment import Ask, Site, by_code, open_site

PBES2 = bytes.fromhex("06092a864886f70d01050d")


async def a_client(site: Site, name: str = "pump-1") -> tuple[Client, Ask]:
    await site.register(name)
    code = await site.code(name)
    return by_secret(site, name, code), by_code(name, code)


def check_signed(answer: Answered) -> None:
    verify_signature(decode(answer.octets), a_message_signer().certificate)


def broken() -> dict[str, bytes]:
    """Break a message of openssl's beyond its header, in several ways."""
    message = decode(from_client("ir"))
    header, body = message.header_octets, message.body_octets
    deep = b"\x05\x00"
    for _ in range(100):
        deep = sequence(deep)
    certificate = a_certificate(a_key()).public_bytes(Encoding.DER)
    return {
        "a body in BER": sequence(header, b"\xa0\x80\x30\x00\x00\x00"),
        "a body that is too deep": sequence(header, tlv(0xA0, deep)),
        "a body of no type": sequence(header, tlv(0xBB, sequence())),
        "a body of two elements": sequence(header, tlv(0xA0, sequence(), sequence())),
        "no body": sequence(header),
        "something behind the message": from_client("ir") + b"\x05\x00",
        "a field that is not there": sequence(header, body, tlv(0xA2, sequence())),
        "a hundred certificates": sequence(header, body, tlv(0xA1, sequence(certificate * 100))),
    }


BROKEN = broken()


@pytest.mark.parametrize("part", BROKEN)
async def test_cmp_E1_E2_security_P14_what_cannot_be_read_is_answered_by_its_ids(part: str) -> None:
    site = await open_site()
    client, _ = await a_client(site)
    sent = decode(from_client("ir")).header

    answer = read(await client.post(BROKEN[part]))

    assert answer.kind is BodyType.ERROR
    assert answer.fail_info == {FAIL_INFO["badDataFormat"]}
    assert answer.header.transaction_id == sent.transaction_id
    assert answer.header.recip_nonce == sent.sender_nonce
    assert answer.header.recipient == sent.sender
    check_signed(answer)
    (attempt,) = await site.attempts()
    assert attempt.operation == "PKIMessage"


@pytest.mark.parametrize(
    "time", [tlv(0x17, b"261125120000Z"), tlv(0x18, b"20261125120000.5Z")], ids=["UTC", "fraction"]
)
async def test_cmp_H6_a_message_time_of_another_form_is_answered_by_its_ids(time: bytes) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    sent = decode(client.message(BodyType.IR, content_of(ask), message_time=None))
    (outer,) = der.split(sent.header_octets)
    version, sender, recipient, *rest = (each.whole for each in der.split(outer.content))
    header = sequence(version, sender, recipient, tlv(0xA0, time), *rest)

    answer = read(await client.post(sequence(header, sent.body_octets)))

    assert answer.fail_info == {FAIL_INFO["badDataFormat"]}
    assert answer.header.transaction_id == sent.header.transaction_id
    assert answer.header.recip_nonce == sent.header.sender_nonce


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x02\x30\x00",
        b"\x31" + from_client("ir")[1:],
        from_client("ir")[:-1],
        sequence(sequence(integer(2), b"\x82\x03\xff\xff\xff", b"\x05\x00")),
        sequence(b"\x30\x80\x00\x00"),
        sequence(tlv(0x30, b"\x00" * 70_000)),
    ],
    ids=range(10),
)
def test_cmp_T1_nothing_is_salvaged_where_there_is_no_header(octets: bytes) -> None:
    assert salvage_header(octets) is None


def test_what_is_salvaged_is_what_an_answer_repeats() -> None:
    message = from_client("ir")
    header = decode(message).header

    found = salvage_header(message)

    assert found is not None
    assert (found.pvno, found.sender, found.recipient) == (
        header.pvno,
        header.sender,
        header.recipient,
    )
    assert (found.transaction_id, found.sender_nonce) == (
        header.transaction_id,
        header.sender_nonce,
    )


async def test_cmp_P7_a_fault_is_told_under_the_secret_of_the_request() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    assert ask.code is not None
    stolen = sequence(a_crm(ask.key, number=0, signer=a_key("p-256", 1)))
    contents = {
        "badPOP": (BodyType.IR, stolen),
        "badDataFormat": (BodyType.IR, integer(1)),
        "badRequest": (BodyType.KRR, sequence()),
        "wrongIntegrity": (BodyType.KUR, content_of(ask)),
        "badRecipientNonce": (BodyType.CERT_CONF, sequence()),
    }

    answers = {each: await client.send(*said) for each, said in contents.items()}

    for fail_info, answer in answers.items():
        assert answer.fail_info == {FAIL_INFO[fail_info]}
        assert verify_mac(decode(answer.octets), ask.code.encode())
        assert not answer.extra_certs


@pytest.mark.parametrize("kind", [BodyType.IR, BodyType.CCR, BodyType.CERT_CONF])
@pytest.mark.parametrize("reference", ["pump-1", "nobody"])
async def test_cmp_P2_a_fault_under_a_wrong_secret_is_not_told(
    kind: BodyType, reference: str
) -> None:
    site = await open_site()
    await a_client(site)
    stranger = by_secret(site, reference, "AAAA-BBBB-CCCC-DDDD-EEEE")

    answer = await stranger.send(kind, sequence())

    assert (answer.kind, answer.fail_info) == (BodyType.ERROR, {FAIL_INFO["badMessageCheck"]})
    check_signed(answer)


async def test_a_fault_of_a_known_device_is_in_its_history() -> None:
    site = await open_site()
    client, _ = await a_client(site)

    await client.send(BodyType.IR, integer(1))

    (attempt,) = await site.attempts()
    assert attempt.device_id == (await site.device()).device_id
    assert attempt.operation == "ir"


async def test_cmp_P9_every_answer_is_protected() -> None:
    site = await open_site()
    held = await site.enroll("pump-2")
    client, ask = await a_client(site)
    others = [by_secret(site, "nobody", "secret"), by_held(site, held, "operational")]
    for one in (client, *others):
        for kind in BodyType:
            answer = await one.send(kind, content_of(ask), transaction_id=os.urandom(16))

            assert answer.header.protection_alg is not None
            assert decode(answer.octets).protection
    for octets in (BROKEN["no body"], from_client("genm-unprotected")):
        check_signed(read(await client.post(octets)))


async def test_cmp_P3_pbes2_within_pbmac1_is_refused_and_the_text_says_why() -> None:
    class Wrong:
        algorithm = pbmac1(derivation=PBES2)

        def protect(self, octets: bytes) -> bytes:
            return octets[:32]

    site = await open_site()
    client, ask = await a_client(site)
    client.protection = Wrong()

    answer = await client.send(BodyType.IR, content_of(ask))

    assert answer.fail_info == {FAIL_INFO["badAlg"]}
    text = str(answer.body["pKIStatusInfo"]["statusString"][0])
    assert "PBES2 (1.2.840.113549.1.5.13) where PBKDF2 belongs" in text


def with_parameters(parameters: bytes) -> bytes:
    """Make an AlgorithmIdentifier of PasswordBasedMac with any parameters."""
    return sequence(bytes.fromhex("06092a864886f67d07420d"), parameters)


MACS = {
    "no parameters": with_parameters(b""),
    "NULL": with_parameters(b"\x05\x00"),
    "a number": with_parameters(integer(1)),
    "an empty sequence": with_parameters(sequence()),
    "itself": with_parameters(pbm()),
    "a count of nothing": pbm(iterations=0),
    "a negative count": with_parameters(
        sequence(tlv(0x04, bytes(16)), SHA256, tlv(0x02, b"\xff"), HMAC_SHA256)
    ),
    "a count of 2^31": pbm(iterations=2**31),
    "a count of 300 bits": pbm(iterations=2**300),
    "no salt": pbm(salt=b""),
    "a salt of a kilobyte": pbm(salt=bytes(1024)),
    "PBKDF2 that derives a kilobyte": pbmac1(length=1024),
    "PBKDF2 that derives nothing": pbmac1(length=0),
    "PBKDF2 with a count of 2^31": pbmac1(iterations=2**31),
}


@pytest.mark.parametrize("case", MACS)
async def test_security_P12_P14_crafted_parameters_of_a_mac_are_refused(case: str) -> None:
    class Crafted:
        algorithm = MACS[case]

        def protect(self, octets: bytes) -> bytes:
            return octets[:32]

    site = await open_site()
    client, ask = await a_client(site)
    client.protection = Crafted()

    answer = await client.send(BodyType.IR, content_of(ask))

    assert answer.kind is BodyType.ERROR
    assert answer.fail_info <= {FAIL_INFO["badAlg"], FAIL_INFO["badDataFormat"]}
    check_signed(answer)
    assert not await site.certificates()


@pytest.mark.parametrize(
    "name", ["%s%n%x%p", "{0}{self.__class__}", "${jndi:ldap://x/y}", "pump-1\r\nLevel: error"]
)
async def test_security_P14_format_strings_in_a_name_are_text(name: str) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    sender = directory_name(a_name(name).public_bytes())

    known = await client.send(BodyType.IR, content_of(ask), sender=sender)
    stranger = await client.send(BodyType.IR, content_of(ask), sender=sender, sender_kid=None)
    by_kid = await client.send(
        BodyType.IR, content_of(ask), sender=sender, sender_kid=name.encode()
    )

    assert known.status == 0
    assert known.header.recipient == sender
    for answer in (stranger, by_kid):
        assert answer.fail_info == {FAIL_INFO["badMessageCheck"]}
