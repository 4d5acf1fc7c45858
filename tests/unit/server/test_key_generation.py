"""Keys for devices are made off the event loop, and not without end."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from enroll.failures import AuthorityUnavailable, RateLimited
from enroll.policy.keys import spki_of
from enroll.profiles import KeyAlgorithm
from server.key_generation import ThreadedKeyGenerator


class Seconds:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_generator(waiting: int = 0, per_hour: int = 0) -> tuple[ThreadedKeyGenerator, Seconds]:
    seconds = Seconds()
    made = ThreadedKeyGenerator(waiting=waiting, per_hour=per_hour, monotonic=seconds)
    return made, seconds


async def test_est_K13_every_key_is_another_one() -> None:
    generator, _ = a_generator()

    keys = [await generator.make(KeyAlgorithm.P_256, "d-1") for _ in range(3)]

    assert all(isinstance(each, ec.EllipticCurvePrivateKey) for each in keys)
    assert len({spki_of(each.public_key()) for each in keys}) == 3


async def test_est_K13_keys_are_of_the_sort_that_was_asked_for() -> None:
    generator, _ = a_generator()

    weak = await generator.make(KeyAlgorithm.RSA_2048, "d-1")
    edwards = await generator.make(KeyAlgorithm.ED25519, "d-1")

    assert isinstance(weak, rsa.RSAPrivateKey)
    assert weak.key_size == 2048
    assert weak.public_key().public_numbers().e == 65537
    assert isinstance(edwards, ed25519.Ed25519PrivateKey)


async def test_the_loop_goes_on_while_a_key_is_made() -> None:
    generator, _ = a_generator()
    turns = 0
    making = asyncio.ensure_future(generator.make(KeyAlgorithm.RSA_3072, "d-1"))

    while not making.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 10


async def test_a_device_may_have_so_many_keys_an_hour_and_no_more() -> None:
    generator, seconds = a_generator(per_hour=2)
    for _ in range(2):
        await generator.make(KeyAlgorithm.P_256, "d-1")

    with pytest.raises(RateLimited) as refused:
        await generator.make(KeyAlgorithm.P_256, "d-1")

    assert refused.value.retry_after == 1800
    await generator.make(KeyAlgorithm.P_256, "d-2")
    seconds.now += 1800
    await generator.make(KeyAlgorithm.P_256, "d-1")
    with pytest.raises(RateLimited):
        await generator.make(KeyAlgorithm.P_256, "d-1")


async def test_more_keys_than_may_wait_are_refused_at_once_and_count_for_nobody() -> None:
    generator, _ = a_generator(waiting=1, per_hour=1)
    making = asyncio.ensure_future(generator.make(KeyAlgorithm.RSA_3072, "d-1"))
    await asyncio.sleep(0)

    with pytest.raises(AuthorityUnavailable) as refused:
        await generator.make(KeyAlgorithm.P_256, "d-2")

    assert refused.value.finding == "key_generation_busy"
    await making
    await generator.make(KeyAlgorithm.P_256, "d-2")
