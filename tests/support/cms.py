"""Parties to CMS messages, certificates with their keys; and messages made octet by octet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mlkem, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from protocols import der
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.digests import Digest
from protocols.cms.identifiers import issuer_and_serial
from protocols.cms.key_encapsulation import EncapsulationKey
from protocols.cms.private_keys import AgreementKey, TransportKey
from protocols.cms.signed_data import Signer
from tests.support.csr import Key, a_key, a_name, attribute, oid, sequence, tlv

KEYS = Path(__file__).parents[2] / "openssl-fixtures" / "keys"
_CONSTRUCTED = 0x20
_END_OF_CONTENTS = b"\x00\x00"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


Sealed = (
    x25519.X25519PrivateKey
    | x448.X448PrivateKey
    | mlkem.MLKEM768PrivateKey
    | mlkem.MLKEM1024PrivateKey
)
"""Keys that do not sign: envelopes are closed for them."""
_SEALED: dict[str, Callable[[], Sealed]] = {
    "x25519": x25519.X25519PrivateKey.generate,
    "x448": x448.X448PrivateKey.generate,
    "ml-kem-768": mlkem.MLKEM768PrivateKey.generate,
    "ml-kem-1024": mlkem.MLKEM1024PrivateKey.generate,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The holder of a certificate."""

    certificate: x509.Certificate
    key: Key | Sealed

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_identifier(self) -> bytes:
        extension = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return extension.value.digest

    def signer(
        self,
        digest: Digest = Digest.SHA256,
        *,
        pss: bool = False,
        key_identifier: bytes | None = None,
    ) -> Signer:
        return Signer.holding(
            self.certificate, self.key, digest=digest, pss=pss, key_identifier=key_identifier
        )

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Write certificate and key, PEM, as openssl takes them."""
        certificate, key = folder / "party.pem", folder / "party.key"
        certificate.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


@cache
def a_party(kind: str = "rsa-2048", name: str = "pump-1", *, number: int = 0) -> Party:
    """Give a party with a key of this kind: self-signed where such keys sign, else by a P-256."""
    if kind in _SEALED:
        return _party(_SEALED[kind](), a_key("p-256"), name)
    key = a_key(kind, number)
    return _party(key, key, name)


@cache
def a_lasting_party(file: str) -> Party:
    """Give a party whose key is one of `openssl-fixtures/keys`: corpora name it by octets."""
    key = load_pem_private_key((KEYS / file).read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return _party(key, key, "lasting")


def holder_of(key: Key | Sealed) -> Party:
    """Give the holder of a key that is there already, with a certificate that names it."""
    return _party(key, a_key("p-256"), "holder")


def key_of(party: Party) -> TransportKey | AgreementKey | EncapsulationKey:
    """Give what opens envelopes for a party."""
    match party.key:
        case rsa.RSAPrivateKey():
            return TransportKey.holding(party.certificate, party.key)
        case ec.EllipticCurvePrivateKey() | x25519.X25519PrivateKey() | x448.X448PrivateKey():
            return AgreementKey.holding(party.certificate, party.key)
        case mlkem.MLKEM768PrivateKey() | mlkem.MLKEM1024PrivateKey():
            return EncapsulationKey.holding(party.certificate, party.key)
        case _:
            raise TypeError(party.key)


def _party(key: Key | Sealed, issuing: Key, name: str) -> Party:
    edwards = isinstance(issuing, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .issuer_name(a_name(name))
        .public_key(key.public_key())
        .serial_number(0xC0FFEE)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuing, None if edwards else hashes.SHA256())
    )
    return Party(certificate=certificate, key=key)


SHA256_ALGORITHM = sequence(oid("608648016503040201"))
RSA_WITH_SHA256 = sequence(oid("2a864886f70d01010b"), b"\x05\x00")
DATA_OID = oid("2a864886f70d010701")


def content_type_attribute(content_type: bytes = DATA_OID) -> bytes:
    return attribute("2a864886f70d010903", content_type)


def digest_attribute(content: bytes) -> bytes:
    return attribute("2a864886f70d010904", tlv(0x04, sha256(content).digest()))


def a_signer_info(
    attributes: Sequence[bytes] | None,
    *,
    party: Party | None = None,
    identifier: bytes | None = None,
    digest_algorithm: bytes = SHA256_ALGORITHM,
    algorithm: bytes = RSA_WITH_SHA256,
    sign: Callable[[bytes], bytes] | None = None,
    unsigned: bytes = b"",
) -> bytes:
    """Make a SignerInfo, octet by octet; without attributes it has none."""
    party = party or a_party()
    content = b"".join(attributes or ())
    signature = (sign or party.signer().sign)(tlv(0x31, content))
    return sequence(
        b"\x02\x01\x01",
        identifier or issuer_and_serial(party.certificate),
        digest_algorithm,
        b"" if attributes is None else tlv(0xA0, content),
        algorithm,
        tlv(0x04, signature),
        unsigned,
    )


def a_signed_message(
    content: bytes,
    *signers: bytes,
    certificates: Sequence[bytes] | None = None,
    content_type: bytes = DATA_OID,
    held: bytes | None = None,
) -> bytes:
    """Make a ContentInfo with a SignedData, octet by octet, around SignerInfos."""
    held = tlv(0xA0, tlv(0x04, content)) if held is None else held
    found = b"".join((a_party().der,) if certificates is None else certificates)
    signed_data = sequence(
        b"\x02\x01\x01",
        tlv(0x31, SHA256_ALGORITHM),
        sequence(content_type, held),
        tlv(0xA0, found),
        tlv(0x31, *signers),
    )
    return sequence(oid("2a864886f70d010702"), tlv(0xA0, signed_data))


def an_envelope(
    *recipient_infos: bytes,
    key: bytes = bytes(16),
    content: bytes = b"what is hidden",
    algorithm: bytes | None = None,
    encrypted: bytes | None = None,
    content_type: bytes = DATA_OID,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Make a ContentInfo with an EnvelopedData, octet by octet, around RecipientInfos."""
    written, octets = ContentEncryption.AES_128_CBC.encrypt(key, content)
    enveloped_data = sequence(
        b"\x02\x01\x00",
        before,
        tlv(0x31, *recipient_infos),
        sequence(
            content_type,
            written if algorithm is None else algorithm,
            tlv(0x80, octets) if encrypted is None else encrypted,
        ),
        after,
    )
    return sequence(oid("2a864886f70d010703"), tlv(0xA0, enveloped_data))


RSA_ENCRYPTION = sequence(oid("2a864886f70d010101"), b"\x05\x00")


def a_key_transport(
    encrypted_key: bytes,
    *,
    party: Party | None = None,
    identifier: bytes | None = None,
    algorithm: bytes = RSA_ENCRYPTION,
) -> bytes:
    """Make a KeyTransRecipientInfo, octet by octet."""
    return sequence(
        b"\x02\x01\x00",
        identifier or issuer_and_serial((party or a_party()).certificate),
        algorithm,
        tlv(0x04, encrypted_key),
    )


def in_ber(element: bytes, random: Random, *, definite_pieces: bool = True) -> bytes:
    """Write a DER element as some sender of BER might."""
    (read,) = der.split(element)
    tag, content = read.tag, read.content
    in_pieces = tag == der.OCTET_STRING and random.random() < 0.5
    if in_pieces:
        tag |= _CONSTRUCTED
        cuts = sorted(random.randint(0, len(content)) for _ in range(random.randint(0, 3)))
        content = b"".join(
            der.encode(der.OCTET_STRING, content[begin:end])
            for begin, end in pairwise((0, *cuts, len(content)))
        )
    elif tag & _CONSTRUCTED:
        content = b"".join(
            in_ber(each.whole, random, definite_pieces=definite_pieces)
            for each in der.split(content)
        )
    if tag & _CONSTRUCTED and (random.random() < 0.5 or (in_pieces and not definite_pieces)):
        return bytes((tag, 0x80)) + content + _END_OF_CONTENTS
    if random.random() < 0.3:
        return bytes((tag, 0x84)) + len(content).to_bytes(4) + content
    return der.header(tag, len(content)) + content
