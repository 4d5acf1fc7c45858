"""Whatever octets arrive where TLS should: nothing escapes, and nobody else suffers."""

import contextlib
from collections.abc import Callable
from random import Random

import pytest
from OpenSSL import SSL

from tests.support.hello import client_hello
from tests.support.listening import TestPKI
from tests.support.tls_pair import Pair, a_pair

SEEDS = range(12)
ROUNDS = 8
VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
WORDS = b"what the client really said"

Mutation = Callable[[Random, bytes], bytes]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))


def seeded(words: str) -> Random:
    return Random(words)  # noqa: S311 - a test wants to repeat itself


def flip(random: Random, octets: bytes) -> bytes:
    changed = bytearray(octets)
    for _ in range(random.choice([1, 1, 2, 8])):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets))
    return octets[:at] + octets[at + random.randrange(1, 20) :]


def insert(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets))
    return octets[:at] + random.randbytes(random.randrange(1, 40)) + octets[at:]


def inject(random: Random, octets: bytes) -> bytes:
    """Put a plaintext record before, with any type and a length that may lie."""
    content = random.randbytes(random.randrange(0, 64))
    length = random.choice([len(content), 0, 1, 0x4000, 0xFFFF])
    kind, version = random.choice([20, 21, 22, 23, 24, 255]), random.choice([0x0301, 0x0303, 0])
    return bytes([kind]) + version.to_bytes(2) + length.to_bytes(2) + content + octets


def lengthen(random: Random, octets: bytes) -> bytes:
    """Let the first record say another length."""
    return octets[:3] + random.randrange(65_536).to_bytes(2) + octets[5:]


def repeat(random: Random, octets: bytes) -> bytes:
    del random
    return octets + octets


def shuffle(random: Random, octets: bytes) -> bytes:
    parts = [octets[at : at + 50] for at in range(0, len(octets), 50)]
    random.shuffle(parts)
    return b"".join(parts)


MUTATIONS: list[Mutation] = [flip, cut, insert, inject, lengthen, repeat, shuffle]


def spoken(pair: Pair) -> bytes:
    """Take what the client has to say next, or nothing."""
    try:
        return pair.client.bio_read(65_536)
    except SSL.WantReadError:
        return b""


def hand_over(random: Random, pair: Pair, octets: bytes) -> None:
    pair.step = random.choice([1, 5, 17, 300, 65_536])
    pair.feed(octets)
    pair.step = 65_536


def assert_well(bystander: Pair) -> None:
    """See that a connection beside the others has not been disturbed, as by a left-over error."""
    heard = len(bystander.inner.heard)
    bystander.say(WORDS)
    bystander.inner.transport.write(WORDS)
    assert bystander.inner.heard[heard:] == WORDS
    assert bystander.hear() == WORDS
    assert not bystander.wire.ended


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", VERSIONS)
async def test_mutated_handshakes_harm_nobody(pki: TestPKI, version: str, seed: int) -> None:
    random = seeded(f"handshake {version} {seed}")
    bystander = a_pair(pki)
    bystander.shake()

    for _ in range(ROUNDS):
        pair = a_pair(pki, version=VERSIONS[version], certificate="client")
        spoiled = random.randrange(2)
        for flight in range(6):
            with contextlib.suppress(SSL.Error):
                pair.client.do_handshake()
            octets = spoken(pair)
            if octets and flight == spoiled:
                octets = random.choice(MUTATIONS)(random, octets)
            hand_over(random, pair, octets)
            pair.deliver()
        pair.server.connection_lost(None)
        assert len(pair.failures) <= 1
        assert pair.failures or pair.inner.transport is not None
        assert_well(bystander)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", VERSIONS)
async def test_of_mutated_records_only_true_words_are_heard(
    pki: TestPKI, version: str, seed: int
) -> None:
    random = seeded(f"records {version} {seed}")
    bystander = a_pair(pki)
    bystander.shake()

    for _ in range(ROUNDS):
        pair = a_pair(pki, version=VERSIONS[version])
        pair.shake()
        said = [b"%d " % number * random.choice([1, 100, 9_000]) for number in range(6)]
        for words in said:
            pair.client.sendall(words)
            octets = spoken(pair)
            if random.random() < 0.4:
                octets = random.choice(MUTATIONS)(random, octets)
            hand_over(random, pair, octets)
            if random.random() < 0.3:
                pair.inner.transport.write(b"x" * 100)
        pair.server.connection_lost(None)
        assert b"".join(said).startswith(bytes(pair.inner.heard))
        assert pair.inner.lost == [None]
        assert not pair.failures
        assert_well(bystander)


@pytest.mark.parametrize("seed", SEEDS)
async def test_octets_without_sense_end_the_connection(pki: TestPKI, seed: int) -> None:
    random = seeded(f"noise {seed}")
    bystander = a_pair(pki)
    bystander.shake()

    for _ in range(ROUNDS):
        pair = a_pair(pki)
        noise = random.randbytes(random.choice([6, 100, 5_000]))
        if random.random() < 0.5:
            noise = client_hello([random.randrange(65_536) for _ in range(20)])[:9] + noise
        hand_over(random, pair, noise)
        pair.server.connection_lost(None)
        assert len(pair.failures) == 1
        assert pair.inner.transport is None
        assert len(pair.wire.written) < 5_000
        assert_well(bystander)
