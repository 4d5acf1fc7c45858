"""The TLS transport on a wire in memory: records in any pieces, both ways, and all the ends."""

import asyncio
from random import Random

import pytest
from OpenSSL import SSL

from tests.support.listening import TestPKI
from tests.support.tls_pair import HIGH_WATER, Pair, a_pair

VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]
SEEDED = Random(1)  # noqa: S311 - a test wants to repeat itself
MEGABYTES = SEEDED.randbytes(5_000_000)

by_version = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])


async def a_shaken_pair(
    pki: TestPKI, version: int = SSL.TLS1_3_VERSION, step: int = 65_536
) -> Pair:
    pair = a_pair(pki, version=version, step=step)
    pair.shake()
    return pair


@by_version
@pytest.mark.parametrize("step", [1, 3, 5, 7, 64, 1_000, 65_536])
async def test_records_may_come_in_any_pieces(pki: TestPKI, version: int, step: int) -> None:
    pair = await a_shaken_pair(pki, version, step)

    for number in range(40):
        pair.say(b"%d;" % number * (1 + 50 * number))

    assert pair.inner.heard == b"".join(b"%d;" % each * (1 + 50 * each) for each in range(40))
    assert not pair.failures


@by_version
async def test_pieces_of_changing_size_lose_nothing(pki: TestPKI, version: int) -> None:
    pair = await a_shaken_pair(pki, version)
    sent = bytearray()

    for _ in range(200):
        pair.step = SEEDED.choice([1, 2, 4, 5, 6, 100, 20_000, 65_536])
        data = SEEDED.randbytes(SEEDED.randrange(1, min(40_000, 200 * pair.step)))
        sent += data
        pair.say(data)

    assert pair.inner.heard == sent


@by_version
async def test_megabytes_come_whole_and_go_whole(pki: TestPKI, version: int) -> None:
    pair = await a_shaken_pair(pki, version)

    pair.say(MEGABYTES)
    pair.inner.transport.write(MEGABYTES)

    assert pair.inner.heard == MEGABYTES
    assert pair.hear() == MEGABYTES


async def test_writes_of_every_kind_of_buffer_arrive(pki: TestPKI) -> None:
    pair = await a_shaken_pair(pki)

    pair.inner.transport.write(b"bytes ")
    pair.inner.transport.write(bytearray(b"array "))
    pair.inner.transport.write(memoryview(b"a view")[2:])
    pair.inner.transport.write(b"")
    pair.inner.transport.writelines([b" and", memoryview(b" lines")])

    assert pair.hear() == b"bytes array view and lines"


@by_version
async def test_who_wants_no_more_is_left_alone_and_gets_the_rest_later(
    pki: TestPKI, version: int
) -> None:
    pair = await a_shaken_pair(pki, version)
    pair.inner.on_data = lambda _: pair.inner.transport.pause_reading()

    pair.say(b"a" * 50_000)

    assert 0 < len(pair.inner.heard) < 50_000
    assert not pair.wire.is_reading()
    assert not pair.inner.transport.is_reading()

    pair.inner.on_data = lambda _: None
    pair.inner.transport.resume_reading()
    await asyncio.sleep(0)

    assert pair.wire.is_reading()
    assert pair.inner.heard == b"a" * 50_000
    pair.say(b"b")
    assert pair.inner.heard.endswith(b"ab")


async def test_pausing_after_each_piece_changes_nothing(pki: TestPKI) -> None:
    pair = await a_shaken_pair(pki)

    def once(_: bytes) -> None:
        pair.inner.transport.pause_reading()
        asyncio.get_running_loop().call_soon(pair.inner.transport.resume_reading)

    pair.inner.on_data = once

    pair.say(MEGABYTES[:60_000])
    for _ in range(20):
        await asyncio.sleep(0)

    assert pair.inner.heard == MEGABYTES[:60_000]


@by_version
async def test_who_takes_nothing_is_not_read_from_until_he_does(pki: TestPKI, version: int) -> None:
    pair = await a_shaken_pair(pki, version)
    pair.wire.flows = False

    pair.inner.transport.write(bytes(HIGH_WATER + 1))

    assert not pair.inner.may_write()
    assert not pair.wire.is_reading()

    assert len(pair.hear()) == HIGH_WATER + 1
    assert pair.inner.may_write()
    assert pair.wire.is_reading()


async def test_what_the_inner_side_paused_stays_paused_though_the_client_reads_again(
    pki: TestPKI,
) -> None:
    pair = await a_shaken_pair(pki)
    pair.wire.flows = False
    pair.inner.transport.pause_reading()
    pair.inner.transport.write(bytes(HIGH_WATER + 1))

    pair.hear()

    assert not pair.wire.is_reading()
    pair.inner.transport.resume_reading()
    assert pair.wire.is_reading()


@by_version
async def test_closing_says_so_after_all_that_was_written(pki: TestPKI, version: int) -> None:
    pair = await a_shaken_pair(pki, version)

    pair.inner.transport.write(b"the last words")
    pair.inner.transport.close()
    pair.inner.transport.write(b"too late")

    assert pair.wire.ended == "closed"
    assert pair.inner.transport.is_closing()
    assert pair.hear() == b"the last words"
    assert pair.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN


@by_version
async def test_the_end_of_a_client_is_heard_and_answered_alike(pki: TestPKI, version: int) -> None:
    pair = await a_shaken_pair(pki, version)

    pair.client.sendall(b"the last words")
    pair.client.shutdown()
    pair.carry()

    assert pair.inner.heard == b"the last words"
    assert pair.inner.eof
    assert pair.wire.ended == "closed"
    pair.hear()
    assert pair.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN


async def test_a_client_that_has_said_its_last_word_still_gets_its_answer(pki: TestPKI) -> None:
    pair = await a_shaken_pair(pki)
    pair.inner.keeps_open = True

    pair.client.shutdown()
    pair.carry()
    ended_before = pair.wire.ended
    pair.inner.transport.write(b"the answer")
    pair.inner.transport.close()

    assert pair.hear() == b"the answer"
    assert (ended_before, pair.wire.ended) == ("", "closed")


async def test_half_closing_says_goodbye_and_goes_on_reading(pki: TestPKI) -> None:
    pair = await a_shaken_pair(pki)

    pair.inner.transport.write_eof()
    pair.inner.transport.write(b"too late")
    pair.say(b"what was still on its way")

    assert pair.wire.ended == "half"
    assert pair.inner.heard == b"what was still on its way"
    assert pair.hear() == b""
    assert pair.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN


async def test_the_end_of_the_stream_without_goodbye_is_an_end(pki: TestPKI) -> None:
    pair = await a_shaken_pair(pki)

    assert not pair.server.eof_received()

    assert pair.inner.eof


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_a_lost_connection_is_told_once(pki: TestPKI, error: Exception | None) -> None:
    pair = await a_shaken_pair(pki)

    pair.server.connection_lost(error)
    pair.inner.transport.write(b"nobody is there")
    pair.inner.transport.close()

    assert pair.inner.lost == [error]


@by_version
async def test_a_record_that_was_changed_on_its_way_ends_the_connection(
    pki: TestPKI, version: int
) -> None:
    pair = await a_shaken_pair(pki, version)
    pair.client.sendall(b"true")
    record = bytearray(pair.client.bio_read(65_536))
    record[-1] ^= 1

    pair.feed(bytes(record))
    pair.say(b"more")

    assert pair.inner.heard == b""
    assert pair.wire.ended == "closed"
    with pytest.raises(SSL.Error, match="bad record mac"):
        pair.hear()


@by_version
@pytest.mark.parametrize("cut", range(0, 700, 37))
async def test_a_handshake_that_breaks_off_anywhere_is_told_and_done(
    pki: TestPKI, version: int, cut: int
) -> None:
    pair = a_pair(pki, version=version)
    with pytest.raises(SSL.WantReadError):
        pair.client.do_handshake()
    hello = pair.client.bio_read(65_536)

    pair.feed(hello[:cut])
    pair.server.connection_lost(ConnectionResetError())

    assert pair.failures == ["the connection broke"]
    assert pair.inner.transport is None


async def test_a_handshake_that_takes_too_long_is_aborted(pki: TestPKI) -> None:
    pair = a_pair(pki, handshake_seconds=0.01)

    await asyncio.wait_for(pair.wire.has_ended.wait(), 10)

    assert pair.wire.ended == "aborted"
    assert pair.failures == ["the handshake took too long"]


async def test_a_finished_handshake_has_no_deadline(pki: TestPKI) -> None:
    pair = a_pair(pki, handshake_seconds=0.05)
    pair.shake()

    await asyncio.sleep(0.1)

    assert not pair.wire.ended


@by_version
async def test_the_chain_is_given_as_it_was_sent(pki: TestPKI, version: int) -> None:
    pair = a_pair(pki, version=version, certificate="client")
    pair.shake()

    chain = pair.inner.transport.get_extra_info("peer_chain")

    assert len(chain) == 2
    assert all(each.startswith(b"\x30\x82") for each in chain)
    assert pair.inner.transport.get_extra_info("peername") == ("192.0.2.1", 4711)
    assert pair.inner.transport.get_extra_info("tls_connection") is pair.server.connection


async def test_the_chain_of_a_client_without_one_is_empty(pki: TestPKI) -> None:
    pair = await a_shaken_pair(pki)

    assert pair.inner.transport.get_extra_info("peer_chain") == ()


async def test_draining_cuts_a_handshake_off_and_asks_the_inner_side(pki: TestPKI) -> None:
    shaking, shaken = a_pair(pki), await a_shaken_pair(pki)

    shaking.server.drain()
    shaken.server.drain()

    assert (shaking.wire.ended, shaken.wire.ended) == ("aborted", "closed")
