"""The forms in which a message says whose secret made its MAC."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from protocols.cmp.encode import directory_name
from protocols.cmp.messages import NULL_NAME, BodyType
from tests.support.cmp_conversation import FAIL_INFO, by_secret, content_of
from tests.support.csr import a_name, tlv
from tests.support.enrollment import by_code, open_site

PUMP = directory_name(a_name("pump-1").public_bytes())
LONG = directory_name(
    x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plant"),
            x509.NameAttribute(NameOID.COMMON_NAME, "pump-1"),
        ]
    ).public_bytes()
)
TAKEN = {
    "senderKID beside its own name": (b"pump-1", PUMP),
    "senderKID beside another name": (b"pump-1", directory_name(a_name("any").public_bytes())),
    "senderKID beside no name": (b"pump-1", NULL_NAME),
    "the CN alone": (None, PUMP),
    "the CN in a longer name": (None, LONG),
}
REFUSED = {
    "nothing": (None, NULL_NAME),
    "an address": (None, tlv(0x81, b"pump-1")),
    "octets that are no text": (b"\xff\xfepump-1", PUMP),
    "an empty senderKID": (b"", PUMP),
    "another senderKID": (b"pump-2", PUMP),
}


@pytest.mark.parametrize("case", TAKEN)
async def test_cmp_H4_a_reference_is_senderkid_or_the_senders_cn(case: str) -> None:
    site = await open_site()
    await site.register("pump-1")
    code = await site.code("pump-1")
    kid, sender = TAKEN[case]
    client = by_secret(site, "pump-1", code)
    client.header = replace(client.header, sender_kid=kid, sender=sender)

    given = await client.ask(by_code("pump-1", code))
    confirmed = await client.confirm()

    assert given.status == 0
    assert (given.header.recipient, given.header.sender_kid) == (sender, kid)
    assert confirmed.kind is BodyType.PKICONF


@pytest.mark.parametrize("case", REFUSED)
async def test_cmp_H4_what_names_no_device_is_not_verified(case: str) -> None:
    site = await open_site()
    await site.register("pump-1")
    code = await site.code("pump-1")
    kid, sender = REFUSED[case]
    client = by_secret(site, "pump-1", code)
    client.header = replace(client.header, sender_kid=kid, sender=sender)

    answer = await client.send(BodyType.IR, content_of(by_code("pump-1", code)))

    assert answer.fail_info == {FAIL_INFO["badMessageCheck"]}
    assert not await site.certificates()
