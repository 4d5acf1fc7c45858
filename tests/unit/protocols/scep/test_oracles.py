"""What was wrong within an envelope: neither answers tell nor, roughly, the work that they take."""

import sys
from contextlib import suppress
from dataclasses import replace
from types import FrameType

import pytest

from enroll.failures import EnrollmentError
from protocols.scep.handler import SCEPHandler
from tests.support.enrollment import new_keys_are_rsa, open_site
from tests.support.scep import FixedServices, a_renewal, a_scep_wire, send
from tests.support.scep_causes import lasting, makers

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
