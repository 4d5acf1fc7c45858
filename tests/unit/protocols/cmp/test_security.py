"""What people on the way may try: to change, repeat, mix up, or send what nobody protected."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from enroll.certificates import CertificateStatus
from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name, encode_message
from protocols.cmp.messages import BodyType
from tests.support.cmp import integer
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Client,
    by_held,
    by_secret,
    content_of,
    read,
)
from tests.support.csr import sequence, tlv
from tests.support.enrollment import Ask, Site, by_code, open_site, renewal


async def a_client(site: Site, name: str = "pump-1") -> tuple[Client, Ask]:
    await site.register(name)
    code = await site.code(name)
    return by_secret(site, name, code), by_code(name, code)


async def test_security_P2_no_octet_of_a_message_can_be_changed() -> None:
    site = await open_site()
    client, ask = await a_client(site)
    message = client.message(BodyType.IR, content_of(ask))

    for at in range(0, len(message), 11):
        changed = message[:at] + bytes([message[at] ^ 0x01]) + message[at + 1 :]
        answer = await client.post(changed)

        if answer.status == 200:
            assert read(answer).status == 2, at
    assert not await site.certificates()
    assert read(await client.post(message)).status == 0


@pytest.mark.parametrize("renews", [False, True], ids=["ir", "kur"])
async def test_security_P9_a_conversation_that_is_played_again_gets_nothing_new(
    renews: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    if renews:
        held = (await site.provision("pump-2"))[1]
        client, ask = by_held(site, held), renewal(held)
    name = "pump-2" if renews else "pump-1"
    kind = BodyType.KUR if renews else BodyType.IR
    first = client.message(kind, content_of(ask))
    client.heard = given = read(await client.post(first))
    certificate = x509.load_der_x509_certificate(given.certificate)
    cert_hash = tlv(0x04, certificate.fingerprint(hashes.SHA256()))
    word = sequence(sequence(cert_hash, integer(0)))
    second = client.message(BodyType.CERT_CONF, word)
    assert read(await client.post(second)).kind is BodyType.PKICONF
    before = await site.certificates(name)
    site.clock.advance(timedelta(hours=1))

    for each in (first, second, first):
        await client.post(each)

    assert await site.certificates(name) == before


async def test_security_P10_everybody_gets_the_certificate_of_their_own_key() -> None:
    site = await open_site()
    pairs = [await a_client(site, f"pump-{each}") for each in range(20)]

    answers = await asyncio.gather(*[client.ask(ask) for client, ask in pairs])

    for (client, ask), answer in zip(pairs, answers, strict=True):
        given = x509.load_der_x509_certificate(answer.certificate)
        assert given.public_key() == ask.key.public_key()
        assert answer.header.transaction_id == client.header.transaction_id


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (BodyType.ERROR, sequence(sequence(integer(2)))),
        (BodyType.CERT_CONF, sequence()),
        (BodyType.PKICONF, b"\x05\x00"),
        (BodyType.RR, sequence(sequence(sequence()))),
        (BodyType.POLL_REQ, sequence(sequence(integer(0)))),
    ],
    ids=["error", "certConf", "pkiconf", "rr", "pollReq"],
)
async def test_security_P11_what_nobody_protected_changes_nothing(
    kind: BodyType, content: bytes
) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    await client.ask(ask)
    assert client.heard is not None
    header = replace(
        client.header,
        sender_nonce=os.urandom(16),
        recip_nonce=client.heard.header.sender_nonce,
    )

    answer = read(await client.post(encode_message(header, tlv(kind.tag, content), None)))

    assert (answer.kind, answer.status) == (BodyType.ERROR, 2)
    assert (await site.certificates())[0].status is CertificateStatus.PENDING_CONFIRM
    assert (await client.confirm()).kind is BodyType.PKICONF


@pytest.mark.parametrize("name", ["%s%n%x", "{0}{unknown}", "${jndi:ldap://x}", "\x00\r\n\x1b[31m"])
async def test_security_P14_a_sender_of_any_text_is_answered(name: str) -> None:
    site = await open_site()
    client, ask = await a_client(site)
    attribute = sequence(bytes.fromhex("0603550403"), tlv(0x0C, name.encode()))
    sender = directory_name(sequence(tlv(0x31, attribute)))
    by_name = replace(client, header=replace(client.header, sender=sender, sender_kid=None))

    given = await client.send(BodyType.IR, content_of(ask), sender=sender)
    refused = await by_name.send(BodyType.IR, content_of(ask))

    assert (given.status, given.header.recipient) == (0, sender)
    assert refused.fail_info == {FAIL_INFO["badMessageCheck"]}
    assert decode(refused.octets).header.recipient == sender
