"""Whoever is slow is let go: each wait for a client has its end (security T6, S14; est-H12)."""

import gc
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from protocols.wire import WireRequest, WireResponse
from server.config.model import LimitsSection
from server.http.connection import HTTPConnection
from server.http.limits import ConnectionLimits
from tests.support.listening import (
    LOOPS,
    TestPKI,
    answer_from,
    echo,
    listening,
    received,
    wait_until,
)

SOON = 0.3
LATER = 30.0
SLACK = 5.0
"""How late a deadline may be kept here: the machine may be busy with other things."""

PATIENT = ConnectionLimits(
    handshake_seconds=LATER,
    header_seconds=LATER,
    keep_alive_seconds=LATER,
    stall_seconds=LATER,
)
HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
GOOD = HEAD + b"Content-Length: 5\r\n\r\n12345"
LARGE = 30_000_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def large(wire: WireRequest) -> WireResponse:
    del wire
    return WireResponse(status=200, media_type="text/plain", body=bytes(LARGE))


def seconds_until_end(
    connection: socket.socket, since: float, drip: bytes = b""
) -> tuple[float, bytes]:
    """Wait for the server to end, sending an octet now and then; give how long, and its answer.

    It counts from a moment before anything began, for the server may be ahead of the test.
    """
    answer = b""
    connection.settimeout(0.02)
    for number in range(int(LATER / 0.02)):
        try:
            part = connection.recv(65536)
        except TimeoutError:
            part = None
        except ConnectionResetError:
            break
        if part == b"":
            break
        answer += part or b""
        if drip and part is None:
            try:
                connection.sendall(drip[number % len(drip) :][:1])
            except (BrokenPipeError, ConnectionResetError):
                break
    return time.monotonic() - since, answer


def assert_ended_at(seconds: float, deadline: float = SOON) -> None:
    assert deadline * 0.9 <= seconds <= deadline + SLACK


def test_the_deadlines_are_those_of_the_specification() -> None:
    limits, section = ConnectionLimits(), LimitsSection()

    assert (limits.handshake_seconds, section.handshake_seconds) == (10, 10)
    assert (limits.header_seconds, section.header_seconds) == (10, 10)
    assert (limits.keep_alive_seconds, section.keep_alive_seconds) == (15, 15)
    assert (section.body_seconds, section.body_bytes) == (20, 64 * 1024)
    assert limits.header_bytes == 16 * 1024
    assert (limits.connections_per_address, section.connections_per_address) == (0, 0)


def test_security_T6_a_connection_without_a_request_is_closed_without_a_word(loop: str) -> None:
    with listening(limits=replace(PATIENT, header_seconds=SOON), loop=loop) as running:
        since = time.monotonic()
        with running.connect() as connection:
            seconds, answer = seconds_until_end(connection, since)

        assert_ended_at(seconds)
        assert answer == b""
        assert running.left_open() == 0


def test_security_T6_a_head_that_drips_in_is_408_at_its_deadline(loop: str) -> None:
    with listening(limits=replace(PATIENT, header_seconds=SOON), loop=loop) as running:
        since = time.monotonic()
        with running.connect() as connection:
            seconds, answer = seconds_until_end(
                connection, since, drip=HEAD + b"X: " + b"a" * 5_000
            )

        assert_ended_at(seconds)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer


def test_security_T6_the_deadline_of_a_head_holds_on_a_kept_connection_too(loop: str) -> None:
    with listening(limits=replace(PATIENT, header_seconds=SOON), loop=loop) as running:
        with running.connect() as connection:
            connection.sendall(GOOD)
            answer_from(connection)
            since = time.monotonic()
            connection.sendall(HEAD)
            seconds, answer = seconds_until_end(connection, since)

        assert_ended_at(seconds)
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_security_T6_an_idle_connection_is_closed_without_a_word(loop: str) -> None:
    with listening(limits=replace(PATIENT, keep_alive_seconds=SOON), loop=loop) as running:
        with running.connect() as connection:
            since = time.monotonic()
            connection.sendall(GOOD)
            answer_from(connection)
            seconds, answer = seconds_until_end(connection, since)

        assert_ended_at(seconds)
        assert answer == b""


def test_a_connection_in_use_outlives_its_idle_time(loop: str) -> None:
    with (
        listening(limits=replace(PATIENT, keep_alive_seconds=1.0), loop=loop) as running,
        running.connect() as connection,
    ):
        started = time.monotonic()
        while time.monotonic() - started < 1.5:
            connection.sendall(GOOD)
            assert answer_from(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begin", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"])
def test_security_T6_a_body_that_drips_in_is_given_up_at_its_deadline(
    loop: str, begin: bytes
) -> None:
    drip = (b"fff\r\n" if b"chunked" in begin else b"") + b"a" * 4_000
    faults = []

    async def note(wire: WireRequest) -> WireResponse:
        faults.append(wire.fault)
        return await echo(wire)

    with listening(note, limits=PATIENT, body_seconds=SOON, loop=loop) as running:
        since = time.monotonic()
        with running.connect() as connection:
            connection.sendall(HEAD + begin + b"\r\n\r\n")
            seconds, answer = seconds_until_end(connection, since, drip)

        assert_ended_at(seconds)
        assert b"body_timeout" in answer
        assert b"Connection: close" in answer
        assert faults == ["body_timeout"]


def half_a_hello() -> bytes:
    return b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"


@pytest.mark.parametrize("sent", [b"", half_a_hello()])
def test_security_T6_a_handshake_that_does_not_end_is_cut_off(
    pki: TestPKI, loop: str, sent: bytes
) -> None:
    limits = replace(PATIENT, handshake_seconds=SOON)
    with listening(limits=limits, pki=pki, loop=loop) as running:
        since = time.monotonic()
        with running.connect() as connection:
            connection.sendall(sent)
            seconds, _ = seconds_until_end(connection, since)

        assert_ended_at(seconds)
        assert wait_until(lambda: bool(running.failed_handshakes))
        assert running.failed_handshakes == ["the handshake took too long"]


def test_security_T6_a_handshake_that_drips_in_is_cut_off(pki: TestPKI, loop: str) -> None:
    limits = replace(PATIENT, handshake_seconds=SOON)
    with listening(limits=limits, pki=pki, loop=loop) as running:
        since = time.monotonic()
        with running.connect() as connection:
            seconds, _ = seconds_until_end(connection, since, drip=half_a_hello() + b"\x00" * 200)

        assert_ended_at(seconds)


def test_security_T6_silence_after_the_handshake_is_cut_off(pki: TestPKI, loop: str) -> None:
    limits = replace(PATIENT, header_seconds=SOON)
    with listening(limits=limits, pki=pki, loop=loop) as running:
        since = time.monotonic()
        with running.secure(pki.client()) as connection:
            seconds, answer = seconds_until_end(connection, since)

        assert_ended_at(seconds)
        assert answer == b""


@pytest.mark.parametrize("over", ["plain", "TLS"])
def test_security_T6_who_never_takes_the_answer_is_cut_off(
    pki: TestPKI, loop: str, over: str
) -> None:
    limits = replace(PATIENT, stall_seconds=SOON)
    with listening(large, limits=limits, pki=pki if over == "TLS" else None, loop=loop) as running:
        opened = running.secure(pki.client()) if over == "TLS" else running.connect()
        with opened as connection:
            connection.sendall(GOOD)
            assert connection.recv(1)

            assert running.left_open(SOON + SLACK) == 0


@pytest.mark.parametrize("over", ["plain", "TLS"])
def test_who_takes_the_answer_slowly_gets_all_of_it(pki: TestPKI, loop: str, over: str) -> None:
    limits = replace(PATIENT, stall_seconds=SOON)
    with listening(large, limits=limits, pki=pki if over == "TLS" else None, loop=loop) as running:
        opened = running.secure(pki.client()) if over == "TLS" else running.connect()
        with opened as connection:
            connection.sendall(GOOD)
            octets, started = 0, time.monotonic()
            while octets < LARGE:
                part = connection.recv(1_000_000)
                assert part, f"cut off after {octets} octets"
                octets += len(part)
                # Slower than the deadline would allow for all of it, but never standing still.
                time.sleep(
                    min(SOON / 4, max(0.0, started + 4 * SOON * octets / LARGE - time.monotonic()))
                )

        assert time.monotonic() - started > 3 * SOON


def test_who_does_not_hang_up_after_a_refusal_is_cut_off(loop: str) -> None:
    limits = replace(PATIENT, stall_seconds=SOON)
    with listening(limits=limits, loop=loop) as running, running.connect() as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400 ")

        assert running.left_open(SOON + SLACK) == 0


def test_the_socket_of_this_host_is_for_its_owner_alone(tmp_path: Path, loop: str) -> None:
    path = tmp_path / "socket"
    with listening(unix=path, loop=loop):
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(GOOD)
            assert answer_from(connection).startswith(b"HTTP/1.1 200")


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def connections_kept() -> int:
    return sum(isinstance(each, HTTPConnection) for each in gc.get_objects())


@pytest.mark.parametrize("octets", [b"", HEAD, HEAD + b"Content-Length: 5\r\n\r\n12", GOOD])
@pytest.mark.parametrize("by_client", [True, False], ids=["by client", "by deadline"])
def test_security_S14_what_a_lost_connection_held_is_freed_at_once(
    octets: bytes, loop: str, pki: TestPKI, *, by_client: bool
) -> None:
    """Freed by the collector only, thousands would make it stop all others for long."""
    limits = (
        PATIENT if by_client else replace(PATIENT, header_seconds=SOON, keep_alive_seconds=SOON)
    )
    with (
        listening(
            limits=limits, body_seconds=LATER if by_client else SOON, loop=loop, pki=pki
        ) as it,
        without_collector(),
    ):
        before = connections_kept()
        connection = it.secure(pki.client())
        connection.sendall(octets)
        if not by_client:
            received(connection)
        connection.close()

        assert it.left_open() == 0
        assert wait_until(lambda: connections_kept() <= before)
