"""Messages of CMP gone wrong, at each of their depths.

What is damaged is the message as it was sent, or its header, its body, the request in it or the
certificates beside it before they are protected: what lies around the damage is good, so that some
get as far as can be.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from protocols.cmp.encode import encode_message
from protocols.cmp.messages import BodyType, PKIHeader
from protocols.cmp.nonces import SenderNonces
from tests.soak.cmp_seeds import Seed, follow
from tests.soak.mutations import Node, mutant_of, parse, request_mutant
from tests.support.cmp import HMAC_SHA256, integer, pbm, pbmac1
from tests.support.csr import ECDSA_SHA256, RSA_SHA256, sequence, sign, tlv

_COUNTS = (-1, 0, 1, 99, 100, 500, 9_999, 10_000, 10_001, 100_000, 2**31, 2**63, 2**700)
_SALTS = (b"", b"\0", bytes(8), bytes(16), bytes(64), bytes(5_000))
_BATCHES = (0, 1, 1, 2, 5, 21)
_MOST = 100
"""So many certificates or messages at most."""


def cmp_mutant(random: Random, seeds: tuple[Seed, ...], nonces: SenderNonces | None) -> bytes:
    """Give a message that is damaged somewhere, or whole now and then."""
    seed = _fresh(random, random.choice(seeds), nonces)
    layer = random.choices(_LAYERS, weights=(4, 4, 4, 4, 1, 2))[0]
    if random.random() < 0.05:
        stations = [each for each in seeds if each.bears]
        bearer = _fresh(random, random.choice((*stations, seed)), nonces)
        chosen = random.choices(seeds, k=random.choice(_BATCHES))
        return _nested(random, bearer, [_fresh(random, each, nonces) for each in chosen])
    return layer(random, seed)


def _fresh(random: Random, seed: Seed, nonces: SenderNonces | None) -> Seed:
    header = replace(
        seed.header, transaction_id=random.randbytes(16), sender_nonce=random.randbytes(16)
    )
    fresh = replace(seed, header=header)
    return replace(fresh, header=follow(fresh, nonces))


def _whole(seed: Seed, content: bytes | None = None, header: PKIHeader | None = None) -> bytes:
    body = tlv(seed.kind.tag, seed.content if content is None else content)
    return encode_message(header or seed.header, body, seed.protection, seed.extra_certs)


def _outside(random: Random, seed: Seed) -> bytes:
    return mutant_of(random, _whole(seed))


def _inside(random: Random, seed: Seed) -> bytes:
    """Damage the body, and protect what is left of it."""
    return _whole(seed, mutant_of(random, seed.content) if seed.content else b"")


def _asked(random: Random, seed: Seed) -> bytes:
    """Damage a request, and prove possession of its key again, or not."""
    if not isinstance(seed.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return _inside(random, seed)
    if seed.kind is BodyType.P10CR:
        return _whole(seed, request_mutant(random, seed.key, seed.content))
    message = parse(seed.content)
    requests = message.children or []
    parts = requests[0].children if requests else None
    if not parts:
        return _inside(random, seed)
    request = mutant_of(random, parts[0].encode())
    is_rsa = isinstance(seed.key, rsa.RSAPrivateKey)
    algorithm = RSA_SHA256 if is_rsa else ECDSA_SHA256
    proof = tlv(0xA1, algorithm, tlv(0x03, b"\0", sign(seed.key, request)))
    proofs = (proof, proof, proof, b"", tlv(0x80), tlv(0xA2, tlv(0x81, b"\0")), tlv(0xA3))
    return _whole(seed, sequence(sequence(request, random.choice(proofs))))


def _headed(random: Random, seed: Seed) -> bytes:
    """Damage the header, and protect the message with what is left of it."""
    whole = parse(_whole(seed))
    assert whole.children is not None
    header, body = whole.children[0].encode(), whole.children[1].encode()
    if random.random() < 0.3:
        header = _with_algorithm(random, whole.children[0])
    else:
        header = mutant_of(random, header)
    protected = seed.protection.protect(sequence(header, body))
    others = [each.encode() for each in whole.children[3:]]
    return sequence(header, body, tlv(0xA0, tlv(0x03, b"\0", protected)), *others)


def _with_algorithm(random: Random, header: Node) -> bytes:
    """Let protectionAlg ask for other work than there is to do."""
    count = random.choice(_COUNTS)
    salt = random.choice(_SALTS)
    mac = random.choice((HMAC_SHA256, sequence(b"\x06\x02\x2a\x03")))
    made = pbm(salt=salt, iterations=count, mac=mac)
    if random.random() < 0.5:
        length = random.choice((None, 0, 1, 32, 2**31))
        made = pbmac1(salt=salt, iterations=count, length=length, mac=mac)
    parts = [
        tlv(0xA1, made) if each.tag == 0xA1 else each.encode() for each in header.children or []
    ]
    return sequence(*parts)


def _accompanied(random: Random, seed: Seed) -> bytes:
    """Send other certificates along: none, many, the wrong ones, damaged ones."""
    known = (*seed.extra_certs, sequence(), sequence(integer(1)))
    chosen = random.choices(known, k=random.choice((0, 1, 2, _MOST)))
    damaged = [mutant_of(random, each) if random.random() < 0.3 else each for each in chosen[:5]]
    certificates = (*damaged, *chosen[5:])
    return encode_message(
        seed.header, tlv(seed.kind.tag, seed.content), seed.protection, certificates
    )


def _elsewhere(random: Random, seed: Seed) -> bytes:
    """Send the body as what it is not."""
    return _whole(replace(seed, kind=random.choice(tuple(BodyType))))


def _nested(random: Random, seed: Seed, others: list[Seed]) -> bytes:
    """Put messages into one that is protected by itself, some of them within another once more."""
    inner = [_whole(each) for each in others]
    if len(inner) == 1 and random.random() < 0.5:
        # Added protection carries the transaction of what it protects.
        theirs = others[0].header
        own = replace(
            seed.header,
            transaction_id=theirs.transaction_id,
            sender_nonce=theirs.sender_nonce,
        )
        seed = replace(seed, header=own)
    if inner and random.random() < 0.3:
        again = replace(seed, kind=BodyType.NESTED, content=sequence(*inner))
        inner = [_whole(again), *inner]
    if inner and random.random() < 0.3:
        inner[0] = mutant_of(random, inner[0])
    return _whole(replace(seed, kind=BodyType.NESTED), sequence(*inner))


_LAYERS: tuple[Callable[[Random, Seed], bytes], ...] = (
    _outside,
    _inside,
    _asked,
    _headed,
    _accompanied,
    _elsewhere,
)
