"""What was wrong within an envelope: neither answers tell nor, roughly, the work that they take."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import FrameType

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from enroll.failures import EnrollmentError
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.identifiers import issuer_and_serial
from protocols.scep.handler import SCEPHandler
from tests.support.cms import a_key_transport, an_envelope
from tests.support.csr import a_key, tlv
from tests.support.enrollment import new_keys_are_rsa, open_site
from tests.support.scep import FixedServices, a_pkcs_req, a_renewal, a_scep_wire, send
from tests.support.scep_causes import CODE, lasting, makers

KEY = a_key("rsa-2048")
CIPHER, CONTENT_KEY = ContentEncryption.AES_128_CBC, bytes(range(16))
KINDS = (19, 20, 21, 22)
SPREAD = 0.03
"""More than the steps in which a damaged request ends earlier or later, and what is done once."""


@pytest.mark.parametrize("kind", KINDS)
async def test_scep_33_refusals_of_what_was_sealed_are_the_same_octets(kind: int) -> None:
    site = await open_site()
    await site.register()

    answers = [(await send(site, make())).body for make in makers(kind).values()]

    assert len({lasting(each) for each in answers}) == 1
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("kind", KINDS)
def test_scep_33_refusals_of_what_was_sealed_take_about_as_many_steps(kind: int) -> None:
    handler = SCEPHandler(FixedServices())

    steps = {cause: steps_of(handler, make()) for cause, make in makers(kind).items()}

    assert max(steps.values()) <= min(steps.values()) * (1 + SPREAD), steps


@pytest.mark.parametrize("kind", [17, 19])
async def test_scep_33_whoever_shows_a_certificate_is_not_told_either_what_was_sealed(
    kind: int,
) -> None:
    with new_keys_are_rsa():
        site = await open_site()
        held = await site.enroll()
    good = a_renewal(held, kind=kind)
    wrong = (
        replace(good, spoil=with_bad_padding),
        replace(good, content=good.content[:16] + bytes(16) + good.content[32:]),
        replace(good, content=good.content[:-1] + bytes((good.content[-1] ^ 1,))),
    )

    answers = [(await send(site, each.encode())).body for each in wrong]

    assert len({lasting(each) for each in answers}) == 1
    findings = {each.finding for each in await site.attempts()}
    assert findings >= {"envelope_unopened", "bad_proof_of_possession"}


@pytest.mark.parametrize(
    ("kind", "head"),
    [(20, "302d 3000 3029 0427"), (21, "302d 3000 0229"), (22, "302d 3000 0229")],
)
async def test_security_P6_blocks_of_a_caught_request_tell_nothing_in_another_message(
    kind: int, head: str
) -> None:
    """Guess an octet of a caught challenge: one octet of padding shows whether it is that.

    The first block, which is known, becomes the head of what is asked for, and the block before
    the caught one is its filling.
    """
    site = await open_site()
    message = a_pkcs_req(KEY, CODE, kind=kind)
    _, encrypted = CIPHER.encrypt(CONTENT_KEY, message.content)
    first, target = encrypted[:16], 16 * (message.content.index(CODE.encode()) // 16 + 1)
    before, caught = encrypted[target - 16 : target], encrypted[target : target + 16]
    vector = xor(ecb(first), bytes.fromhex(head).ljust(16, b"\1"))
    sought = message.content[target + 15]
    answers = []

    for guess in (sought, sought ^ 0x40):
        filling = bytes(15) + bytes((guess ^ before[15] ^ 1,))
        spliced = sealed_anew(vector, first + filling + caught)
        opens = CIPHER.cipher(CONTENT_KEY, vector).decryptor().update(first + filling + caught)
        answer = await send(site, replace(message, spoil=instead(spliced)).encode())
        answers.append((opens[-1] == 1, answer.status, lasting(answer.body)))

    assert [right for right, *_ in answers] == [True, False]
    assert answers[0][1:] == answers[1][1:]


def instead(of_it: bytes) -> Callable[[bytes], bytes]:
    return lambda _: of_it


def sealed_anew(vector: bytes, encrypted: bytes) -> bytes:
    """Put blocks beside the content key of the caught request, to the RA."""
    ra = a_pkcs_req(KEY).ra.certificate
    public = ra.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    encrypted_key = public.encrypt(CONTENT_KEY, padding.PKCS1v15())
    transport = a_key_transport(encrypted_key, identifier=issuer_and_serial(ra))
    return an_envelope(
        transport, algorithm=CIPHER.algorithm(vector), encrypted=tlv(0x80, encrypted)
    )


def ecb(block: bytes) -> bytes:
    """Decrypt one block; whoever knows what is in it need not have the key."""
    return CIPHER.cipher(CONTENT_KEY, bytes(16)).decryptor().update(block)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def with_bad_padding(envelope: bytes) -> bytes:
    """Change the last octet of the padding, by the block before it."""
    return envelope[:-17] + bytes((envelope[-17] ^ 1,)) + envelope[-16:]


def steps_of(handler: SCEPHandler, message: bytes) -> int:
    """Count the calls that it takes to read a message and refuse it."""
    wire = a_scep_wire(body=message)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        del frame, argument
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with suppress(EnrollmentError):
            handler.receive(wire)
    finally:
        sys.setprofile(before)
    return calls
