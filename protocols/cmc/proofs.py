"""Proofs made with a shared secret: of identity (RFC 5272 §6.2), and its link to a key (§6.3)."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der

_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A MAC under the hash of a secret, and by which algorithms; RFC 5272 §6.2.1 and §6.3.1.1."""

    digest: str
    mac: str
    value: bytes = field(repr=False)

    @classmethod
    def of_version_1(cls, control: der.Element) -> Self:
        """Read an OCTET STRING: SHA-1 and HMAC-SHA-1 (RFC 5272 §6.2.2). Raises Malformed."""
        return cls(digest="sha1", mac="sha1", value=_octets(control))

    @classmethod
    def of_version_2(cls, control: der.Element) -> Self:
        """Read a SEQUENCE of hash, MAC and witness. Raises Malformed, UNSUPPORTED_ALGORITHM."""
        parts = der.split(control.content) if control.tag == der.SEQUENCE else []
        if len(parts) != _PARTS:
            raise Malformed("a witness is no hash, MAC and value")
        digest, mac = _HASHES.get(parts[0].whole), _MACS.get(parts[1].whole)
        if digest is None or mac is None:
            raise EnrollmentError(
                FailureReason.UNSUPPORTED_ALGORITHM, "a witness uses an algorithm not in the list"
            )
        return cls(digest=digest, mac=mac, value=_octets(parts[2]))

    def is_made_with(self, secret: str, octets: bytes) -> bool:
        """Tell whether the secret, as it is written, gives this witness over the octets."""
        key = hashlib.new(self.digest, secret.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(hmac.digest(key, octets, self.mac), self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecretProof:
    """All that a Full PKI Request proves with one secret.

    `octets` is the reqSequence as received. With a `link`, every request holds that witness over
    the random octets.
    """

    identification: str
    identity: Witness
    octets: bytes = field(repr=False)
    link: tuple[Witness, bytes] | None = None

    def is_made_with(self, secret: str) -> bool:
        """Tell whether the secret is the one that proves the identity (RFC 5272 §6.2.3).

        Raises BAD_PROOF_OF_POSSESSION if it is, and does not link identity and key.
        """
        if not self.identity.is_made_with(secret + self.identification, self.octets):
            return False
        if self.link is not None:
            witness, random = self.link
            if not witness.is_made_with(secret, random):
                raise unlinked("the POP link witness was not made with the secret")
        return True


def unlinked(detail: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.BAD_PROOF_OF_POSSESSION,
        detail,
        finding="pop_unlinked",
        field="popLinkWitness",
    )


def _octets(element: der.Element) -> bytes:
    if element.tag != der.OCTET_STRING or not element.content:
        raise Malformed("a witness is no OCTET STRING, or empty")
    return element.content


def _algorithms(oids: Mapping[str, str]) -> dict[bytes, str]:
    """Give names by AlgorithmIdentifiers, whose parameters are absent or NULL."""
    return {
        der.encode(der.SEQUENCE, bytes.fromhex(oid), parameters): name
        for oid, name in oids.items()
        for parameters in (b"", b"\x05\x00")
    }


_HASHES = _algorithms(
    {
        "06052b0e03021a": "sha1",
        "0609608648016503040201": "sha256",
        "0609608648016503040202": "sha384",
        "0609608648016503040203": "sha512",
    }
)
# RFC 3370 §3.1 hMAC-SHA1, and those of RFC 8018 §B.1.
_MACS = _algorithms(
    {
        "06082b06010505080102": "sha1",
        "06082a864886f70d0207": "sha1",
        "06082a864886f70d0209": "sha256",
        "06082a864886f70d020a": "sha384",
        "06082a864886f70d020b": "sha512",
    }
)
