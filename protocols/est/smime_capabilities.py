"""SMIMECapabilities (RFC 8551 §2.5.2): the encryption that a client takes, and our choice of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from enroll.failures import EnrollmentError, Malformed
from protocols import der
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.digests import Digest, find
from protocols.cms.key_agreement import KeyAgreementScheme
from protocols.cms.key_wrap import KeyWrap
from protocols.public_keys import unsupported

MOST = 64
"""How many capabilities are read."""

_CONTEXT_2 = 0xA2
_CIPHERS = (
    ContentEncryption.AES_256_CBC,
    ContentEncryption.AES_192_CBC,
    ContentEncryption.AES_128_CBC,
)
_WRAPS = (KeyWrap.AES_256, KeyWrap.AES_192, KeyWrap.AES_128)
_DIGESTS = (Digest.SHA256, Digest.SHA384, Digest.SHA512, Digest.SHA1)
# Content encryption that is not done here: AES in GCM and CCM, DES, 3DES, RC2, ChaCha20-Poly1305.
_OTHER_CIPHERS = frozenset(
    bytes.fromhex(each)
    for each in (
        *(f"06096086480165030401{last}" for last in ("06", "1a", "2e", "07", "1b", "2f")),
        "06052b0e030207",
        "06082a864886f70d0307",
        "06082a864886f70d0302",
        "060b2a864886f70d0109100312",
    )
)
_RSAES_OAEP = bytes.fromhex("06092a864886f70d010107")
_MGF1 = bytes.fromhex("06092a864886f70d010108")
# Where key agreements stand: SECG, X9.63, and the three of RFC 8418 §2.2.
_AGREEMENTS = tuple(
    bytes.fromhex(each)
    for each in (
        "2b810401",
        "2b81051086483f00",
        "2a864886f70d0109100313",
        "2a864886f70d0109100314",
        "2a864886f70d0109100315",
    )
)


class Capability(NamedTuple):
    """One of them: an OBJECT IDENTIFIER and its parameters, DER; no octets where there are none."""

    oid: bytes
    parameters: bytes


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a client takes. Whatever is chosen is of it, the strongest first."""

    known: tuple[Capability, ...]

    def content_encryption(self) -> ContentEncryption:
        """Choose a content cipher; where none at all is named, AES-256 in CBC is taken for known.

        Raises UNSUPPORTED_ALGORITHM.
        """
        named = {each.oid for each in self.known}
        for cipher in _CIPHERS:
            if cipher.oid in named:
                return cipher
        if named & _OTHER_CIPHERS:
            raise _nothing_in_common("content encryption", "AES in CBC mode")
        return ContentEncryption.AES_256_CBC

    def check_wrap(self, wrap: KeyWrap) -> None:
        """Demand that the client takes this key wrap. Raises UNSUPPORTED_ALGORITHM."""
        if wrap not in self._wraps():
            raise _nothing_in_common("key wrap", f"AES-{wrap.value * 8} key wrap for this key")

    def oaep_digest(self) -> Digest:
        """Choose a digest for RSAES-OAEP; SHA-256 where no parameters say otherwise.

        Raises UNSUPPORTED_ALGORITHM.
        """
        named = {_oaep_digest(each.parameters) for each in self.known if each.oid == _RSAES_OAEP}
        for digest in _DIGESTS:
            if digest in named:
                return digest
        raise _nothing_in_common("key transport", "RSAES-OAEP")

    def agreement_wrap(self, scheme: KeyAgreementScheme) -> KeyWrap:
        """Choose a key wrap under a key agreement (RFC 5753 §7.2).

        Clients name the scheme with the wrap as its parameters, or the wraps alone. Raises
        UNSUPPORTED_ALGORITHM.
        """
        agreements = [each for each in self.known if each.oid[2:].startswith(_AGREEMENTS)]
        ours = [each.parameters for each in agreements if each.oid == scheme.oid]
        if agreements and not ours:
            raise _nothing_in_common("key agreement", scheme.value)
        possible = [each for each in _WRAPS if each.algorithm in ours] or self._wraps()
        if not possible:
            raise _nothing_in_common("key wrap", "AES key wrap")
        return possible[0]

    def _wraps(self) -> list[KeyWrap]:
        named = {der.encode(der.SEQUENCE, each.oid) for each in self.known}
        return [each for each in _WRAPS if each.algorithm in named]


def read_capabilities(value: der.Element) -> Capabilities:
    """Read the value of the attribute. Raises Malformed."""
    if value.tag != der.SEQUENCE:
        raise Malformed("the SMIMECapabilities are no SEQUENCE")
    elements = der.split(value.content)
    if len(elements) > MOST:
        raise Malformed(f"more than {MOST} SMIMECapabilities")
    return Capabilities(tuple(_capabilities(elements)))


def _capabilities(elements: list[der.Element]) -> Iterator[Capability]:
    for each in elements:
        parts = der.split(each.content) if each.tag == der.SEQUENCE else []
        if len(parts) not in {1, 2} or parts[0].tag != der.OBJECT_IDENTIFIER:
            raise Malformed("an SMIMECapability is no pair of identifier and parameters")
        yield Capability(parts[0].whole, parts[1].whole if len(parts) > 1 else b"")


def _oaep_digest(parameters: bytes) -> Digest | None:
    """Tell which digest RSAES-OAEP-params name (RFC 4055 §4.1), if they are such as we write."""
    if not parameters:
        return Digest.SHA256
    (sequence,) = der.split(parameters)
    if sequence.tag != der.SEQUENCE:
        return None
    given = {each.tag: each.content for each in der.split(sequence.content)}
    if given.keys() - {der.CONTEXT_0, der.CONTEXT_1}:
        return None
    digest = find(given[der.CONTEXT_0]) if der.CONTEXT_0 in given else Digest.SHA1
    mask = _mask_digest(given[der.CONTEXT_1]) if der.CONTEXT_1 in given else Digest.SHA1
    return digest if digest is mask else None


def _mask_digest(generation: bytes) -> Digest | None:
    outer = der.split(generation)
    parts = der.split(outer[0].content) if [each.tag for each in outer] == [der.SEQUENCE] else []
    if [each.whole for each in parts[:-1]] != [_MGF1]:
        return None
    return find(parts[-1].whole)


def _nothing_in_common(what: str, ours: str) -> EnrollmentError:
    return unsupported("smimeCapabilities", f"no {what} in common; here it is {ours}")
