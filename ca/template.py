"""Certificates by splicing an order's own parts into what all of its shape have in common.

A template is cut from a twin that `CertificateBuilder` made (see `ca/twin.py`). Names and public
key are written by cryptography here as there; only alternative names that are text, and the headers
around the parts, are written anew. A template is taken only if it gives its twin back, octet for
octet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1

from asn1crypto import parser
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.builder import sign
from ca.issuers import Issuer
from ca.linting import lint_usage
from ca.twin import check_twin, elements, make_twin
from enroll.certificates import IssuanceOrder
from enroll.profiles import KeyUsageBit

MOST_TEMPLATES = 1_024
"""How many an issuer keeps; orders of further shapes go by the builder."""

_Shape = tuple[
    frozenset[KeyUsageBit],
    tuple[x509.ObjectIdentifier, ...],
    type[CertificatePublicKeyTypes],
    int,
    bool,
    bool,
]
_GENERALIZED_TIME_FROM = 2050
_IDENTIFIER_OCTETS = 20
_IDENTIFIER_PLACE = 3
"""Where `ca/builder.py` puts the subject key identifier; the names, if any, come last."""

# Identifier octets.
_INTEGER = 0x02
_BIT_STRING = 0x03
_OCTET_STRING = 0x04
_SEQUENCE = 0x30
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_EXTENSIONS = 0xA3
_TEXTS: Mapping[type[x509.GeneralName], int] = {
    x509.RFC822Name: 0x81,
    x509.DNSName: 0x82,
    x509.UniformResourceIdentifier: 0x86,
}
_LONG_FORM = 0x80


class Splicer:
    """Makes the certificates of one issuer: spliced, or built where no template will do.

    Before a template is used, its twin is judged; before a certificate is built, its own twin.
    """

    def __init__(self, issuer: Issuer, most_templates: int = MOST_TEMPLATES) -> None:
        self._issuer = issuer
        self._most = most_templates
        self.templates: dict[_Shape, Template] = {}

    def certificate(self, order: IssuanceOrder) -> bytes:
        """Sign an order, DER. Raises PolicyViolation if no certificate may be as it says."""
        spki = order.spki or order.public_key.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        shape = (
            order.key_usage,
            order.extended_key_usage,
            type(order.public_key),
            len(spki),
            bool(order.subject_alternative_names),
            bool(order.subject.rdns),
        )
        template = self.templates.get(shape)
        if template is None or not spki.startswith(template.key_head):
            template = self._judge(order, spki)
            if template is None:
                return self._built(order, spki)
            self.templates[shape] = template
        tbs = template.splice(order, spki)
        signature = _element(_BIT_STRING, b"\0" + self._issuer.signature_over(tbs))
        return _element(_SEQUENCE, tbs + template.algorithm + signature)

    def _judge(self, order: IssuanceOrder, spki: bytes) -> "Template | None":
        """Check the twin of an order, and give a template for its shape if one is wanted."""
        lint_usage(order)
        twin = make_twin(order, self._issuer)
        check_twin(twin, order, self._issuer)
        if len(self.templates) >= self._most:
            return None
        template = _cut(twin, spki)
        return template if template.splice(order, spki) == twin.tbs_certificate_bytes else None

    def _built(self, order: IssuanceOrder, spki: bytes) -> bytes:
        der = sign(order, self._issuer)
        signed = x509.load_der_x509_certificate(der).public_key()
        if signed.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki:
            # A mix-up of keys must never leave (P10). What is spliced holds `spki` itself.
            raise AssertionError("the signed certificate holds another key than its order")
        return der


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What certificates of one shape have in common, in DER.

    `key_head` is a SubjectPublicKeyInfo up to the key's own bits; `leading` are the extensions up
    to the subject key identifier's value, `trailing` those after it except the alternative names;
    `names_head` is what the extension of the names begins with, if there are any.
    """

    version: bytes
    algorithm: bytes
    issuer: bytes
    key_head: bytes
    leading: bytes
    trailing: bytes
    names_head: bytes | None

    def splice(self, order: IssuanceOrder, spki: bytes) -> bytes:
        """Give the TBSCertificate of an order of this shape, whose key `spki` holds."""
        # RFC 5280 §4.2.1.2 (1): SHA-1 gives a key its name here, and protects nothing.
        identifier = sha1(spki[len(self.key_head) :], usedforsecurity=False).digest()
        extensions = self.leading + identifier + self.trailing
        if self.names_head is not None:
            value = _element(_OCTET_STRING, _general_names(order.subject_alternative_names))
            extensions += _element(_SEQUENCE, self.names_head + value)
        return _element(
            _SEQUENCE,
            self.version
            + _serial_number(order.serial_number)
            + self.algorithm
            + self.issuer
            + _validity(order.not_valid_before, order.not_valid_after)
            + order.subject.public_bytes()
            + spki
            + _element(_EXTENSIONS, _element(_SEQUENCE, extensions)),
        )


def _cut(twin: x509.Certificate, spki: bytes) -> Template:
    """Take out of a twin what does not depend on its own order."""
    fields = elements(twin.tbs_certificate_bytes)
    version, _, algorithm, issuer = fields[:4]
    (extensions,) = elements(fields[-1])
    parts = elements(extensions)
    names_head = None
    if any(isinstance(each.value, x509.SubjectAlternativeName) for each in twin.extensions):
        names_head = b"".join(elements(parts.pop())[:-1])
    leading = b"".join(parts[: _IDENTIFIER_PLACE + 1])
    bits = elements(spki)[-1]
    return Template(
        version=version,
        algorithm=algorithm,
        issuer=issuer,
        # The bits of a key come after the header of a BIT STRING and the count of unused ones.
        key_head=spki[: len(spki) - len(parser.parse(bits)[4]) + 1],
        leading=leading[:-_IDENTIFIER_OCTETS],
        trailing=b"".join(parts[_IDENTIFIER_PLACE + 1 :]),
        names_head=names_head,
    )


def _element(identifier: int, content: bytes) -> bytes:
    """Put the header before a content (X.690 §8.1), in a fifth of asn1crypto's time."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((identifier, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((identifier, _LONG_FORM | len(octets))) + octets + content


def _general_names(names: tuple[x509.GeneralName, ...]) -> bytes:
    """Write GeneralNames (RFC 5280 §4.2.1.6): those that are text here, others by cryptography."""
    written = []
    for each in names:
        tag = _TEXTS.get(type(each))
        if tag is None:
            return x509.SubjectAlternativeName(names).public_bytes()
        written.append(_element(tag, each.value.encode("ascii")))
    return _element(_SEQUENCE, b"".join(written))


def _serial_number(number: int) -> bytes:
    return _element(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


@lru_cache(maxsize=64)
def _validity(begins: datetime, ends: datetime) -> bytes:
    """Write a Validity; all that is ordered in one second under one profile has the same."""
    return _element(_SEQUENCE, _time(begins) + _time(ends))


def _time(at: datetime) -> bytes:
    """Write a Time: UTCTime until 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5)."""
    utc = at.astimezone(UTC)
    if utc.year < _GENERALIZED_TIME_FROM:
        return _element(_UTC_TIME, utc.strftime("%y%m%d%H%M%SZ").encode())
    return _element(_GENERALIZED_TIME, utc.strftime("%Y%m%d%H%M%SZ").encode())
