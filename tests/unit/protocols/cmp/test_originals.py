"""The original of a message that was protected anew: it proves its part, or the new one fails."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocols.cmp.encode import encode_message
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType
from tests.support.cmp import a_header, a_message, a_signer, by_signature, pbm
from tests.support.cmp_conversation import FAIL_INFO, Answered, Client, by_held, by_secret
from tests.support.crmf import a_cert_request, a_crm, vouched
from tests.support.csr import a_csr, a_key, a_name, sequence, tlv
from tests.support.enrollment import Held, Site
from tests.support.registration_authorities import A_RA, RA_KEY, a_site

KEY = a_key("p-256", 21)
IDS: dict[str, Any] = {"transaction_id": os.urandom(16), "sender_nonce": os.urandom(16)}
Make = Callable[[], bytes]


def request(**changes: Any) -> bytes:
    return sequence(a_crm(**{"key": KEY, "number": 0, "subject": a_name("unit-1"), **changes}))


def vouched_for() -> bytes:
    return sequence(vouched(a_cert_request(KEY, number=0, subject=a_name("unit-1"))))


def by_mac(kind: BodyType, content: bytes, **changes: Any) -> bytes:
    header = a_header(**{**IDS, **changes})
    return a_message(kind, content, header, protection=derive_key(pbm(), b"of the line"))


def signed(kind: BodyType, content: bytes, **changes: Any) -> bytes:
    return by_signature(kind, content, **{**IDS, **changes})


def signed_by_another() -> bytes:
    """Make a message that another key signed than that of the certificate in it."""
    false = a_signer(a_key("p-256", 22)).certificate.public_bytes(Encoding.DER)
    return signed(BodyType.IR, request(), extra_certs=[false])


def unprotected() -> bytes:
    message = a_header(**IDS)
    return encode_message(message, tlv(BodyType.IR.tag, request()), None)


async def a_station() -> tuple[Site, Client]:
    site = await a_site()
    await site.register("unit-1")
    station = by_held(site, Held(der=A_RA.public_bytes(Encoding.DER), key=RA_KEY))
    return site, station


async def send(client: Client, originals: bytes, content: bytes | None = None) -> Answered:
    """Send a request that was protected anew, with what is said to be its original."""
    return await client.send(BodyType.CR, content or vouched_for(), originals=originals, **IDS)


@pytest.mark.parametrize(
    "original",
    [
        by_mac(BodyType.IR, request()),
        signed(BodyType.CR, request()),
        signed(BodyType.P10CR, a_csr(KEY, subject=a_name("unit-1"))),
        by_mac(BodyType.IR, request(subject=a_name("another"))),
    ],
    ids=["ir by MAC", "cr", "p10cr", "other names"],
)
async def test_cmp_N4_an_original_of_the_same_key_and_transaction_is_taken(
    original: bytes,
) -> None:
    site, station = await a_station()

    answer = await send(station, sequence(original))

    assert answer.status == 0
    assert len(await site.certificates("unit-1")) == 1


@pytest.mark.parametrize(
    ("make", "fail_info"),
    [
        (lambda: by_mac(BodyType.IR, request(), transaction_id=bytes(16)), "badMessageCheck"),
        (lambda: by_mac(BodyType.IR, request(), sender_nonce=bytes(16)), "badMessageCheck"),
        (lambda: by_mac(BodyType.IR, request(key=a_key("p-256", 22))), "badMessageCheck"),
        (lambda: signed(BodyType.KUR, request()), "badMessageCheck"),
        (lambda: signed(BodyType.GENM, sequence()), "badMessageCheck"),
        (signed_by_another, "badMessageCheck"),
        (unprotected, "badMessageCheck"),
        (lambda: by_mac(BodyType.IR, request(signer=a_key("p-256", 22))), "badPOP"),
        (lambda: by_mac(BodyType.IR, vouched_for()), "badPOP"),
    ],
    ids=[
        "another transactionID",
        "another senderNonce",
        "another key",
        "a kur",
        "a genm",
        "a false signature",
        "no protection",
        "a false proof",
        "raVerified",
    ],
)
async def test_cmp_N4_an_original_that_proves_something_else_is_refused(
    make: Make, fail_info: str
) -> None:
    site, station = await a_station()

    answer = await send(station, sequence(make()))

    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})
    assert not await site.certificates("unit-1")


@pytest.mark.parametrize(
    "originals",
    [
        b"",
        b"\x05\x00",
        sequence(),
        sequence(b"\x05\x00"),
        by_mac(BodyType.IR, request()),
        sequence(*[by_mac(BodyType.IR, request())] * 2),
    ],
    ids=["nothing", "NULL", "none", "no message", "no sequence", "two"],
)
async def test_cmp_N4_what_is_not_one_original_is_refused(originals: bytes) -> None:
    site, station = await a_station()

    answer = await send(station, originals)

    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO["badDataFormat"]})
    assert not await site.certificates("unit-1")


async def test_cmp_N4_an_original_gives_a_device_no_authority() -> None:
    site, _ = await a_station()
    client = by_secret(site, "unit-1", await site.code("unit-1"))

    answer = await send(client, sequence(by_mac(BodyType.IR, request())))

    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO["notAuthorized"]})
