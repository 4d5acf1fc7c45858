"""Messages of SCEP gone wrong, at each of their depths; and the queries that carry them in a GET.

What is damaged is the message as it was sent, the envelope or the attributes before they are
signed, or the request before it is sealed: what lies around the damage is good, so that some get
as far as can be. Any field may be gone, be there twice, or be another's (`tests.soak.mutations`).
"""

from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from protocols.cms.identifiers import issuer_and_serial
from protocols.cms.passwords import Password
from protocols.cms.recipients import KeyAgreement, KeyEncryptionKey, KeyTransport
from protocols.scep.messages import SCEPOperation
from tests.soak.mutations import damaged_octets, mutant_of, request_mutant
from tests.soak.scep_seeds import Seed
from tests.support.cms import (
    RSA_WITH_SHA256,
    SHA256_ALGORITHM,
    a_party,
    a_signed_message,
    a_signer_info,
    an_envelope,
    content_type_attribute,
    digest_attribute,
    in_ber,
)
from tests.support.csr import ECDSA_SHA256, sequence, sign, tlv
from tests.support.enrollment import Held

_KEY = bytes(16)
_MOST = 40
"""So many signers or recipients at most."""


def scep_mutant(random: Random, seed: Seed) -> bytes:
    """Give a message that is damaged somewhere, or whole now and then."""
    return random.choices(_LAYERS, weights=(4, 4, 3, 4, 1, 1, 1))[0](random, seed)


def scep_query(random: Random, message: bytes) -> str:
    """Give the query of a GET with this message, as clients and proxies might write it."""
    text = random.choice(_TEXTS)(message)
    operation = SCEPOperation.PKI_OPERATION.value
    if random.random() < 0.1:
        operation = random.choice((*SCEPOperation, "pkioperation", "GetNothing", "", "%00"))
    pairs = [f"operation={operation}", f"message={text}"]
    if random.random() < 0.2:
        pairs = random.choices((*pairs, "message=", "message=CA", "x=y", "operation"), k=3)
    query = "&".join(pairs)
    if random.random() < 0.1:
        return damaged_octets(random, query.encode()).decode("latin-1")
    return query


def _outside(random: Random, seed: Seed) -> bytes:
    return mutant_of(random, seed.whole)


def _sealed(random: Random, seed: Seed) -> bytes:
    """Damage what is sealed: half of the requests are signed again, so that more is looked at."""
    content = seed.message.content
    if isinstance(seed.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        damaged = request_mutant(random, seed.key, content)
    else:
        damaged = mutant_of(random, content)
    return replace(seed.message, content=damaged).encode()


def _enveloped(random: Random, seed: Seed) -> bytes:
    return replace(seed.message, spoil=lambda envelope: mutant_of(random, envelope)).encode()


def _attributed(random: Random, seed: Seed) -> bytes:
    """Damage the attributes, and sign what is left of them."""
    attributes = [
        content_type_attribute(),
        digest_attribute(seed.envelope),
        *(each.encode() for each in seed.message.attributes),
    ]
    damaged = mutant_of(random, tlv(0x31, *attributes))
    return _signed_by(seed, seed.envelope, _signer_info(seed.message.signer, damaged))


def _in_ber(random: Random, seed: Seed) -> bytes:
    """Write the message, the envelope in it or both as BER, sound or nearly so."""
    envelope = in_ber(seed.envelope, random) if random.random() < 0.7 else seed.envelope
    message = replace(seed.message, spoil=lambda _: envelope).encode()
    if random.random() < 0.7:
        message = in_ber(message, random)
    return damaged_octets(random, message) if random.random() < 0.3 else message


def _by_several(random: Random, seed: Seed) -> bytes:
    """Have it signed by none, by itself twice, by others too."""
    attributes = [
        content_type_attribute(),
        digest_attribute(seed.envelope),
        *(each.encode() for each in seed.message.attributes),
    ]
    own = _signer_info(seed.message.signer, tlv(0x31, *attributes))
    others = (own, a_signer_info(attributes), a_signer_info(None), mutant_of(random, own))
    signers = random.choices(others, k=random.choice((0, 1, 2, 2, 3, _MOST)))
    return _signed_by(seed, seed.envelope, *signers)


def _to_several(random: Random, seed: Seed) -> bytes:
    """Seal it to none, to others before us, to us twice."""
    ours = KeyTransport(certificate=seed.message.ra.certificate)
    known = (ours.encode(_KEY), ours.encode(_KEY[1:]), *_other_recipients())
    chosen = random.choices(known, k=random.choice((0, 1, 2, 2, 3, 3, _MOST)))
    envelope = an_envelope(*chosen, key=_KEY, content=seed.message.content)
    if random.random() < 0.3:
        envelope = mutant_of(random, envelope)
    return replace(seed.message, spoil=lambda _: envelope).encode()


@cache
def _other_recipients() -> tuple[bytes, ...]:
    """Give RecipientInfos of every kind that are not for us."""
    recipients = (
        KeyTransport(certificate=a_party(name="other", number=7).certificate),
        KeyAgreement(certificate=a_party("p-256").certificate),
        Password(password=b"secret"),
        KeyEncryptionKey(key_identifier=b"k", key=bytes(32)),
    )
    return (*(each.encode(_KEY) for each in recipients), tlv(0xA4, tlv(0x06, b"\x2a\x03")))


def _signer_info(signer: Held, attributes: bytes) -> bytes:
    """Make a SignerInfo over these attributes, whatever has become of them."""
    is_rsa = isinstance(signer.key, rsa.RSAPrivateKey)
    return sequence(
        b"\x02\x01\x01",
        issuer_and_serial(signer.certificate),
        SHA256_ALGORITHM,
        b"\xa0" + attributes[1:],
        RSA_WITH_SHA256 if is_rsa else ECDSA_SHA256,
        tlv(0x04, sign(signer.key, attributes)),
    )


def _signed_by(seed: Seed, content: bytes, *signers: bytes) -> bytes:
    return a_signed_message(content, *signers, certificates=[seed.message.signer.der])


def _escaped(message: bytes) -> str:
    return quote(b64encode(message), safe="")


def _bare(message: bytes) -> str:
    return b64encode(message).decode()


def _spaced(message: bytes) -> str:
    return _bare(message).replace("+", " ")


def _for_urls(message: bytes) -> str:
    return urlsafe_b64encode(message).decode().rstrip("=")


def _in_lines(message: bytes) -> str:
    return quote(encodebytes(message).replace(b"\n", b"\r\n"), safe="")


def _escaped_twice(message: bytes) -> str:
    return quote(_escaped(message), safe="")


_LAYERS: tuple[Callable[[Random, Seed], bytes], ...] = (
    _outside,
    _sealed,
    _enveloped,
    _attributed,
    _in_ber,
    _by_several,
    _to_several,
)
_TEXTS: tuple[Callable[[bytes], str], ...] = (
    _escaped,
    _bare,
    _spaced,
    _for_urls,
    _in_lines,
    _escaped_twice,
)
