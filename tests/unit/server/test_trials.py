"""Trying secrets off the event loop: it stays free, and not everybody can wait."""

import asyncio
import threading

import pytest

from enroll.credentials import SharedSecretMAC
from enroll.failures import AuthorityUnavailable, Malformed
from server.trials import WAITING, ThreadedSecretTrier


async def test_the_event_loop_goes_on_while_a_secret_is_tried() -> None:
    free, done = threading.Event(), []

    def matches(secret: str) -> bool:
        done.append(free.wait(10))
        return secret == "right"

    mac = SharedSecretMAC(username="pump-1", matches=matches, rounds=1)
    trying = asyncio.create_task(ThreadedSecretTrier().try_all(mac, ["wrong", "right", "later"]))
    await asyncio.sleep(0)
    free.set()
    await trying

    assert done == [True, True]
    assert mac.tried == {"wrong": False, "right": True}


async def test_so_many_messages_wait_and_no_more() -> None:
    free = threading.Event()
    trier = ThreadedSecretTrier()

    def a_mac() -> SharedSecretMAC:
        return SharedSecretMAC(username="pump-1", matches=lambda _: free.wait(10), rounds=1)

    trying = [asyncio.create_task(trier.try_all(a_mac(), ["secret"])) for _ in range(WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(AuthorityUnavailable) as caught:
        await trier.try_all(a_mac(), ["secret"])

    free.set()
    await asyncio.gather(*trying)
    assert (caught.value.finding, caught.value.retry_after) == ("derivations_busy", 2)
    await trier.try_all(a_mac(), ["secret"])


async def test_what_a_mac_says_of_its_message_is_raised_here() -> None:
    def matches(secret: str) -> bool:
        del secret
        raise Malformed("the message contradicts itself")

    mac = SharedSecretMAC(username="pump-1", matches=matches, rounds=1)

    with pytest.raises(Malformed):
        await ThreadedSecretTrier().try_all(mac, ["secret"])
