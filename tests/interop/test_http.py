"""HTTP as it should not be: answered in one way by either parser, and never with what was sent."""

import re
import socket
from collections.abc import Iterator

import pytest
from aiohttp.http_parser import HttpRequestParserC, HttpRequestParserPy

from protocols.wire import WireRequest, WireResponse
from server.http import connection
from server.http.limits import ConnectionLimits
from tests.support.listening import Listening, answer_from, echo, listening, received

CANARY = b"canary7x"
HEAD = b"POST /echo/x HTTP/1.1\r\nHost: localhost\r\n"
GOOD = HEAD + b"Content-Length: 5\r\n\r\n12345"

MALFORMED: dict[str, bytes] = {
    "both lengths": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
    "one length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\n12345",
    "a length with a plus": HEAD + b"Content-Length: +5\r\n\r\n12345",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\n12345",
    "a length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\n1234567890",
    "a hexadecimal length": HEAD + b"Content-Length: 0x5\r\n\r\n12345",
    "an empty length": HEAD + b"Content-Length: \r\n\r\n12345",
    "a length of other digits": HEAD + b"Content-Length: \xd9\xa5\r\n\r\n12345",
    "a length beyond all numbers": HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n12345",
    "two hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /echo HTTP/1.1\r\nUser-Agent: x\r\n\r\n",
    "two content types": HEAD
    + b"Content-Type: text/plain\r\nContent-Type: application/pkcs10\r\nContent-Length: 0\r\n\r\n",
    "two authorizations": HEAD
    + b"Authorization: Basic YTpi\r\nAuthorization: Basic Yzpk\r\nContent-Length: 0\r\n\r\n",
    "two transfer encodings": HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two content encodings": HEAD
    + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    "an unknown transfer encoding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n12345",
    "chunked under another coding": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "almost chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"GET /echo HTTP/1.1\nHost: localhost\n\n",
    "a bare line feed in a header": b"GET /echo HTTP/1.1\r\nHost: localhost\nX: 1\r\n\r\n",
    "a bare carriage return in a header": b"GET /echo HTTP/1.1\r\nHost: localhost\rX: 1\r\n\r\n",
    "a folded header": b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n 2\r\n\r\n",
    "a space before the colon": b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX : 1\r\n\r\n",
    "a space before the name": b"GET /echo HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "a header without a colon": b"GET /echo HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n",
    "a header without a name": b"GET /echo HTTP/1.1\r\nHost: localhost\r\n: 1\r\n\r\n",
    "a name with a space": b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX Y: 1\r\n\r\n",
    "a zero in a header": b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "a zero in the address": b"GET /echo\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an address of other characters": "GET /écho HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "an address with a space": b"GET /echo x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an address of another host": b"GET http://b/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address of another scheme": b"GET ftp://a/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address without its scheme": b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "a version of two digits": b"GET /echo HTTP/1.10\r\nHost: localhost\r\n\r\n",
    "chunks in an old version": HEAD.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an ancient version": b"GET /echo HTTP/0.9\r\nHost: localhost\r\n\r\n",
    "a version to come": b"GET /echo HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /echo\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method with a colon": b"G:T /echo HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no request at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an expectation of another kind": HEAD + b"Expect: tea\r\nContent-Length: 0\r\n\r\n",
    "a huge line": b"GET /echo/" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a huge header": b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
    "too many headers": b"GET /echo HTTP/1.1\r\nHost: localhost\r\n"
    + b"".join(b"X-%d: 1\r\n" % number for number in range(130))
    + b"\r\n",
    "too much of headers": b"GET /echo HTTP/1.1\r\nHost: localhost\r\n"
    + b"".join(b"X-%d: %b\r\n" % (number, b"a" * 400) for number in range(60))
    + b"\r\n",
    "a chunk size of no digits": HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n12345\r\n",
    "a negative chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n12345\r\n0\r\n\r\n",
    "a chunk size with a prefix": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n",
    "a chunk size with a space": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n5 \r\n12345\r\n0\r\n\r\n",
    "a chunk size beyond all numbers": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n12345\r\n0\r\n\r\n",
    "a chunk longer than it says": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\n12345\r\n0\r\n\r\n",
    "chunks that end with a line feed": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\n12345\n0\n\n",
    "a trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nX: 1\r\n\r\n",
    "a trailer that is a length": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture(params=["C", "Python"], scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let connections use one of aiohttp's parsers, as AIOHTTP_NO_EXTENSIONS would choose it."""
    chosen = HttpRequestParserC if request.param == "C" else HttpRequestParserPy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "HttpRequestParser", chosen)
        yield str(request.param)


async def strict(wire: WireRequest) -> WireResponse:
    """Answer as a protocol would: what the listener could not read is the sender's fault."""
    if wire.fault is None:
        return await echo(wire)
    words = f"{wire.fault}\n".encode()
    return WireResponse(status=413, media_type="text/plain; charset=utf-8", body=words)


@pytest.fixture(scope="module")
def served(parser: str) -> Iterator[Listening]:
    del parser
    with listening(strict, body_seconds=1) as running:
        yield running


@pytest.mark.parametrize("name", MALFORMED)
def test_security_T5_a_malformed_request_gets_a_4xx_and_the_connection_ends(
    served: Listening, name: str
) -> None:
    request = MALFORMED[name].replace(b"/echo", b"/echo/" + CANARY)

    answer = served.exchange(request)

    assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer
    assert re.search(rb"\r\nX-Request-ID: [0-9a-f]{16}\r\n", answer)
    assert CANARY not in answer
    assert not answer.endswith(b"[reset]")


@pytest.mark.parametrize("name", MALFORMED)
def test_security_T5_a_malformed_request_in_pieces_is_refused_all_the_same(
    served: Listening, name: str
) -> None:
    request = MALFORMED[name]

    with served.connect() as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), max(1, len(request) // 40)):
            try:
                opened.sendall(request[at : at + max(1, len(request) // 40)])
            except (BrokenPipeError, ConnectionResetError):
                break
        opened.shutdown(socket.SHUT_WR)
        answer = received(opened)

    assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer


def test_what_is_well_formed_is_served(served: Listening) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n12\r\n3;a=b\r\n345\r\n0\r\n\r\n"
    absolute = b"GET http://localhost/echo/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with served.connect() as opened:
        for request, words in (
            (GOOD, b"POST x 5 0 None"),
            (chunked, b"POST x 5 0 None"),
            (absolute, b"GET x 0 0 None"),
            (GOOD.replace(b"/echo/x", b"//echo//x/"), b"POST x 5 0 None"),
            (GOOD.replace(b"Host", b"hOST"), b"POST x 5 0 None"),
        ):
            opened.sendall(request)
            assert answer_from(opened).endswith(words + b"\n")


def test_requests_that_come_before_their_turn_are_answered_in_order(served: Listening) -> None:
    requests = [GOOD.replace(b"/echo/x", b"/echo/%d" % number) for number in range(40)]

    with served.connect() as opened:
        opened.sendall(b"".join(requests))
        opened.shutdown(socket.SHUT_WR)
        answers = received(opened)

    assert re.findall(rb"POST (\d+) 5", answers) == [b"%d" % number for number in range(40)]


def test_a_request_right_behind_chunks_is_refused_for_it_could_be_a_trailer(
    served: Listening,
) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    answers = served.exchange(chunked + GOOD)

    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"400"]


def test_a_malformed_request_behind_a_good_one_is_refused_after_its_answer(
    served: Listening,
) -> None:
    answers = served.exchange(GOOD + b"NONSENSE\r\n\r\n")

    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"400"]


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_connections_end_when_the_client_says_so(served: Listening, version: bytes) -> None:
    asked = GOOD.replace(b"HTTP/1.1", version).replace(
        b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
    )

    assert served.exchange(asked).count(b"Connection: close\r\n") == 1


def test_an_old_client_is_told_that_its_connection_stays_open(served: Listening) -> None:
    asked = GOOD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(
        b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"
    )
    with served.connect() as opened:
        for _ in range(2):
            opened.sendall(asked)
            assert b"\r\nConnection: keep-alive\r\n" in answer_from(opened)


def test_est_H9_a_body_of_unknown_length_is_411(served: Listening) -> None:
    answer = served.exchange(HEAD + b"Connection: close\r\n\r\n")

    assert answer.endswith(b"length_required\n")


def test_est_H10_a_body_that_is_too_large_is_refused_before_it_was_read(
    served: Listening,
) -> None:
    with served.connect() as opened:
        opened.sendall(HEAD + b"Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n")
        answer = answer_from(opened)

    assert b"too_large" in answer
    assert b"100 Continue" not in answer
    assert b"Connection: close" in answer


def test_est_H10_a_body_that_grows_too_large_is_refused_then(served: Listening) -> None:
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    with served.connect() as opened:
        opened.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17)
        answer = answer_from(opened)

    assert b"too_large" in answer
    assert b"Connection: close" in answer


def test_the_refusal_of_a_large_body_arrives_although_the_client_goes_on_sending(
    served: Listening,
) -> None:
    with served.connect() as opened:
        opened.sendall(HEAD + b"Content-Length: 3000000\r\n\r\n")
        opened.sendall(b"a" * 3_000_000)
        opened.shutdown(socket.SHUT_WR)
        answer = received(opened)

    assert b"too_large" in answer
    assert not answer.endswith(b"[reset]")


def test_a_compressed_body_is_refused_and_not_inflated(served: Listening) -> None:
    answer = served.exchange(
        GOOD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
    )

    assert answer.endswith(b"content_encoding\n")


def test_a_client_that_asks_first_is_told_to_continue(served: Listening) -> None:
    with served.connect() as opened:
        opened.sendall(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert opened.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(b"12345")
        assert answer_from(opened).endswith(b"POST x 5 0 None\n")


def test_the_answer_to_HEAD_is_that_to_GET_without_its_body(served: Listening) -> None:
    get = served.exchange(b"GET /echo HTTP/1.0\r\n\r\n")
    head = served.exchange(b"HEAD /echo HTTP/1.0\r\n\r\n")

    assert b"Content-Length: %d\r\n" % len(b"HEAD  0 0 None\n") in head
    assert head.endswith(b"\r\n\r\n")
    assert get.endswith(b"GET  0 0 None\n")


def test_nothing_is_where_nothing_is(served: Listening) -> None:
    with served.connect() as opened:
        for path in (b"/", b"*", b"/nowhere", b"/echoes", b"/%65cho"):
            opened.sendall(b"OPTIONS " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = answer_from(opened)
            assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
            assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"tcp"])
def test_no_other_protocol_is_taken_up(served: Listening, upgrade: bytes) -> None:
    answer = served.exchange(
        b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: "
        + upgrade
        + b"\r\n\r\nGET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )

    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200"]
    assert b"Connection: close" in answer


def test_no_tunnel_is_opened(served: Listening) -> None:
    answer = served.exchange(b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\nabc")

    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"400"]


async def broken(wire: WireRequest) -> WireResponse:
    if wire.path == "header":
        return WireResponse(status=200, media_type="text/plain", headers=(("X", "a\r\nSet: b"),))
    raise RuntimeError(wire.path)


@pytest.mark.parametrize("path", [b"raise", b"header"])
def test_a_fault_of_ours_is_500_and_tells_nothing(path: bytes) -> None:
    with listening(broken) as running:
        answer = running.exchange(b"GET /echo/" + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert re.match(rb"HTTP/1\.1 500 ", answer)
    assert b"Set: b" not in answer
    assert b"RuntimeError" not in answer


def test_a_total_of_connections_is_kept_and_those_beyond_are_not_served() -> None:
    with listening(limits=ConnectionLimits(connections=3)) as running:
        kept = [running.connect() for _ in range(3)]
        for each in kept:
            each.sendall(GOOD)
            assert answer_from(each).startswith(b"HTTP/1.1 200")

        assert running.exchange(b"") in {b"", b"[reset]"}
        assert running.gate.open == 3

        kept[0].close()
        for each in kept[1:]:
            each.sendall(GOOD)
            assert answer_from(each).startswith(b"HTTP/1.1 200")
        for each in kept:
            each.close()
