"""Too much at once is told so at once; and who is served when the server ends (S12, est-H12)."""

import asyncio
import re
import socket
import threading
import time

import pytest

from protocols.wire import WireRequest, WireResponse
from server.http.limits import ConnectionLimits
from server.http.load import LoadLimits
from tests.support.listening import (
    LOOPS,
    SECONDS,
    Listening,
    TestPKI,
    answer_from,
    echo,
    listening,
    received,
    wait_until,
)

GOOD = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Busy:
    """An endpoint that answers when it is let go."""

    def __init__(self) -> None:
        self.running = 0
        self._go = threading.Event()

    async def __call__(self, wire: WireRequest) -> WireResponse:
        self.running += 1
        await asyncio.to_thread(self._go.wait, SECONDS)
        return await echo(wire)

    def let_go(self) -> None:
        self._go.set()


def test_S12_what_is_too_much_gets_503_with_retry_after_at_once(loop: str) -> None:
    busy = Busy()
    with listening(busy, load=LoadLimits(exchanges=3), loop=loop) as running:
        waiting = [running.connect() for _ in range(3)]
        for each in waiting:
            each.sendall(GOOD)
        assert wait_until(lambda: busy.running == 3)

        with running.connect() as beyond:
            for _ in range(2):
                beyond.sendall(GOOD)
                answer = answer_from(beyond)
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert re.search(rb"\r\nRetry-After: [1-4]\r\n", answer)
                assert re.search(rb"\r\nX-Request-ID: [0-9a-f]{16}\r\n", answer)
                assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer

            busy.let_go()
            for each in waiting:
                with each:
                    assert answer_from(each).startswith(b"HTTP/1.1 200 ")
            beyond.sendall(GOOD)
            assert answer_from(beyond).startswith(b"HTTP/1.1 200 ")
        assert running.load.exchanges == 0


def test_a_body_that_is_on_its_way_takes_nobodys_place(loop: str) -> None:
    with listening(load=LoadLimits(exchanges=1), loop=loop) as running:
        slow = [running.connect() for _ in range(5)]
        for each in slow:
            each.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123")

        assert b"HTTP/1.1 200 " in running.exchange(GOOD.replace(b"1.1", b"1.0"))
        for each in slow:
            with each:
                each.sendall(b"45")
                assert answer_from(each).startswith(b"HTTP/1.1 200 ")


async def blocking(wire: WireRequest) -> WireResponse:
    time.sleep(0.05)  # noqa: ASYNC251 - work that holds the loop is what this is about
    return await echo(wire)


def test_S12_latency_does_not_grow_with_the_queue(loop: str) -> None:
    """Forty requests of 50 ms each come together: two seconds of work, of which a part is done."""
    with listening(blocking, load=LoadLimits(queue_seconds=0.3), loop=loop) as running:
        together = [running.connect() for _ in range(40)]
        for each in together:
            each.sendall(GOOD)
        statuses = []
        for each in together:
            with each:
                statuses.append(answer_from(each)[9:12])

    assert set(statuses) == {b"200", b"503"}


@pytest.mark.parametrize("over", ["plain", "TLS"])
def test_draining_answers_what_runs_closes_what_is_idle_and_takes_no_more(
    pki: TestPKI, loop: str, over: str
) -> None:
    busy = Busy()
    with listening(busy, pki=pki if over == "TLS" else None, loop=loop) as running:

        def connect() -> socket.socket:
            return running.secure(pki.client()) if over == "TLS" else running.connect()

        with connect() as running_one, connect() as idle, connect() as begun:
            running_one.sendall(GOOD)
            begun.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123")
            assert wait_until(lambda: busy.running == 1 and running.gate.open == 3)
            port = running.port

            draining = asyncio.run_coroutine_threadsafe(drain(running), running.loop)

            assert received(idle) == b""
            with pytest.raises(OSError, match=r"refused|reset"):
                socket.create_connection(("127.0.0.1", port), timeout=5).recv(1)
            assert not draining.done()
            begun.sendall(b"45")
            busy.let_go()
            for each in (running_one, begun):
                answer = received(each)
                assert answer.startswith(b"HTTP/1.1 200 ")
                assert b"\r\nConnection: close\r\n" in answer
            draining.result(10)
            assert running.gate.open == 0


async def drain(running: Listening) -> None:
    running.listener.stop_accepting()
    await running.listener.drain(20)


def test_est_H12_an_address_may_have_its_share_of_connections(loop: str) -> None:
    limits = ConnectionLimits(connections_per_address=2)
    with listening(limits=limits, loop=loop) as running:
        kept = [running.connect() for _ in range(2)]
        for each in kept:
            each.sendall(GOOD)
            answer_from(each)

        assert running.exchange(GOOD) in {b"", b"[reset]"}
        for each in kept:
            each.close()
        assert running.left_open() == 0
        assert b"HTTP/1.1 200 " in running.exchange(GOOD.replace(b"1.1", b"1.0"))
