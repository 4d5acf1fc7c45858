"""TLS over real sockets, on both event loops: large bodies, half-closed and broken connections."""

import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from protocols.wire import WireRequest, WireResponse
from tests.support.listening import (
    LOOPS,
    SECONDS,
    Listening,
    TestPKI,
    answer_from,
    listening,
    received,
)
from tests.support.openssl import program

GOOD = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = 4_000_000
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=LOOPS)
def served(request: pytest.FixtureRequest, pki: TestPKI) -> Iterator[Listening]:
    with listening(mirror, pki=pki, body_octets=LARGE, loop=request.param) as running:
        yield running


async def mirror(wire: WireRequest) -> WireResponse:
    """Give the body back."""
    return WireResponse(status=200, media_type="application/octet-stream", body=wire.body)


def assert_well(served: Listening, pki: TestPKI) -> None:
    """See that the listener serves, and that all other connections are gone."""
    with served.secure(pki.client("client")) as connection:
        connection.sendall(GOOD)
        assert answer_from(connection).startswith(b"HTTP/1.1 200 ")
    assert served.left_open() == 0
    assert not served.accidents


@pytest.mark.parametrize("version", VERSIONS)
def test_megabytes_go_both_ways_over_one_connection(
    served: Listening, pki: TestPKI, version: ssl.TLSVersion
) -> None:
    context = pki.client("client")
    context.maximum_version = version
    body = seeded("megabytes").randbytes(LARGE)
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % LARGE

    with served.secure(context) as connection:
        for _ in range(2):
            connection.sendall(head + body)
            assert answer_from(connection).endswith(body)


def test_curl_uploads_in_chunks_and_gets_it_back(served: Listening, pki: TestPKI) -> None:
    body = seeded("curl").randbytes(1_000_000)

    done = subprocess.run(
        [
            *(program("curl"), "-sS", "--cacert", str(pki.folder / "root.pem")),
            *("-H", "Transfer-Encoding: chunked", "--data-binary", "@-"),
            f"https://127.0.0.1:{served.port}/echo",
        ],
        input=body,
        capture_output=True,
        check=True,
    )

    assert done.stdout == body


def test_a_client_that_half_closes_still_gets_its_answer(served: Listening, pki: TestPKI) -> None:
    with served.secure(pki.client()) as connection:
        connection.sendall(GOOD)
        socket.socket.shutdown(connection, socket.SHUT_WR)

        assert received(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("octets", [0, 1, 5, 6, 100, 250, 500, 517, 600, 700, 900, 1_200, 2_000])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_reset_after_any_octet_is_the_end_of_that_connection_alone(
    served: Listening, pki: TestPKI, version: ssl.TLSVersion, octets: int
) -> None:
    context = pki.client("client")
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    with served.connect() as plain:
        left = octets
        while left > 0:
            try:
                client.do_handshake()
                client.write(GOOD)
            except ssl.SSLWantReadError:
                pass
            part = outgoing.read()[:left]
            plain.sendall(part)
            left -= len(part)
            if left and not part:
                incoming.write(plain.recv(65_536))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert_well(served, pki)


@pytest.mark.parametrize("seed", range(12))
def test_openssl_behind_a_bad_line_ends_that_connection_alone(
    served: Listening, pki: TestPKI, seed: int
) -> None:
    version = ("-tls1_2", "-tls1_3")[seed % 2]
    with a_bad_line(served.port, seeded(f"line {seed}")) as port:
        done = subprocess.run(
            [
                *(program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", version),
                *("-servername", "localhost", "-quiet", "-no_ign_eof"),
                *("-cert", str(pki.folder / "client.pem"), "-key", str(pki.folder / "client.pem")),
            ],
            input=GOOD,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )

    assert not re.search(rb"HTTP/1\.1 [^2]", done.stdout)
    assert_well(served, pki)


@contextmanager
def a_bad_line(port: int, random: Random) -> Iterator[int]:
    """Carry one connection to the server, changing an octet of what the client sends."""
    with socket.create_server(("127.0.0.1", 0)) as accepting:
        accepting.settimeout(SECONDS)
        at = random.randrange(0, 1_000)

        def carry() -> None:
            client, _ = accepting.accept()
            with client, socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as server:
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server, at, random.randrange(1, 256))
                back.join()

        thread = threading.Thread(target=carry)
        thread.start()
        yield int(accepting.getsockname()[1])
        thread.join(SECONDS)
        assert not thread.is_alive()


def pump(source: socket.socket, sink: socket.socket, at: int = -1, change: int = 0) -> None:
    """Carry all that comes, with one octet changed, and the end."""
    position = 0
    try:
        while part := bytearray(source.recv(65_536)):
            if position <= at < position + len(part):
                part[at - position] ^= change
            position += len(part)
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def seeded(words: str) -> Random:
    return Random(words)  # noqa: S311 - a test wants to repeat itself
