"""Every kind of message that there is, from everybody who could send it: nothing comes of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocols.cmp.encode import encode_message
from protocols.cmp.messages import BodyType
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Answered, Client, by_held, by_secret, read
from tests.support.csr import sequence, tlv
from tests.support.enrollment import Held, Site
from tests.support.registration_authorities import A_RA, RA_KEY, a_site

WRONG = "AAAA-AAAA-AAAA-AAAA-AAAA"
# What a client may begin or go on with, or will be able to: the rest is ours to send, or nobody's.
SENT = frozenset(
    {
        *(BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KUR, BodyType.CCR, BodyType.RR),
        *(BodyType.CERT_CONF, BodyType.POLL_REQ, BodyType.POPDECR, BodyType.GENM),
        *(BodyType.ERROR, BodyType.NESTED),
    }
)
NEVER = [each for each in BodyType if each not in SENT]
WRONG_FOR_ALL = [sequence(), integer(1)]
CONTENTS = {
    BodyType.GENM: [integer(1)],
}
"""Bodies of these kinds that nothing can come of, where a SEQUENCE of nothing means something."""

Connect = Callable[[Site], Awaitable[Client]]


async def by_code(site: Site) -> Client:
    return by_secret(site, "unit-1", await site.code("unit-1"))


async def by_a_wrong_code(site: Site) -> Client:
    await site.code("unit-1")
    return by_secret(site, "unit-1", WRONG)


async def by_device(site: Site) -> Client:
    return by_held(site, await site.enroll("unit-9"))


async def by_authority(site: Site) -> Client:
    return by_held(site, Held(der=A_RA.public_bytes(Encoding.DER), key=RA_KEY))


SENDERS = pytest.mark.parametrize(
    "connect", [by_code, by_a_wrong_code, by_device, by_authority], ids=lambda each: each.__name__
)


async def open_line() -> Site:
    site = await a_site()
    await site.register("unit-1")
    return site


async def what_there_is(site: Site, client: Client) -> object:
    """Give all that a message could change."""
    names = ["unit-1", "pump-1", *(["unit-9"] if client.extra_certs else [])]
    found = []
    for each in names:
        try:
            device = await site.device(each)
        except AssertionError:
            continue
        found.append((device.state, device.status, await site.certificates(each)))
    return found


def without_protection(client: Client, kind: BodyType, content: bytes) -> bytes:
    return encode_message(replace(client.header), tlv(kind.tag, content), None)


def check_clean(answer: Answered) -> None:
    assert answer.status == 2
    assert len(answer.fail_info) == 1


@SENDERS
async def test_security_P7_no_kind_of_message_gets_what_it_does_not_ask_for_well(
    connect: Connect,
) -> None:
    site = await open_line()
    client = await connect(site)
    before = await what_there_is(site, client)

    for kind in BodyType:
        for content in CONTENTS.get(kind, WRONG_FOR_ALL):
            check_clean(await client.send(kind, content))

    assert await what_there_is(site, client) == before


async def test_security_P7_no_kind_of_message_gets_anything_without_protection() -> None:
    site = await open_line()
    client = await by_code(site)
    before = await what_there_is(site, client)

    for kind in BodyType:
        for content in CONTENTS.get(kind, WRONG_FOR_ALL):
            answer = read(await client.post(without_protection(client, kind, content)))

            check_clean(answer)
            assert answer.kind is BodyType.ERROR
            if kind in NEVER:
                assert answer.fail_info == {FAIL_INFO["badRequest"]}
    assert await what_there_is(site, client) == before


@SENDERS
async def test_security_P7_what_is_not_for_a_client_to_send_is_a_bad_request(
    connect: Connect,
) -> None:
    site = await open_line()
    client = await connect(site)

    answers = [await client.send(kind, sequence()) for kind in NEVER]

    wanted = "badMessageCheck" if connect is by_a_wrong_code else "badRequest"
    for answer in answers:
        assert (answer.kind, answer.fail_info) == (BodyType.ERROR, {FAIL_INFO[wanted]})


@SENDERS
async def test_nobody_is_cross_certified(connect: Connect) -> None:
    site = await open_line()
    client = await connect(site)

    answer = await client.send(BodyType.CCR, sequence())
    bare = read(await client.post(without_protection(client, BodyType.CCR, sequence())))

    wanted = "badMessageCheck" if connect is by_a_wrong_code else "notAuthorized"
    assert (answer.kind, answer.fail_info) == (BodyType.ERROR, {FAIL_INFO[wanted]})
    assert bare.fail_info == {FAIL_INFO["badMessageCheck"]}
