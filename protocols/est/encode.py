"""Writing EST: certificates into answers."""

import binascii
import struct
from dataclasses import dataclass
from hashlib import sha256

from enroll.options import CSRAttributesStyle
from enroll.requirements import RequestRequirements
from protocols.cms import certs_only
from protocols.est import csr_attributes
from protocols.est.messages import (
    CERTIFICATE,
    CERTIFICATES,
    CSR_ATTRIBUTES,
    GENERATED_KEY,
    PKCS8,
    AnswerLayout,
)
from protocols.wire import WireResponse

CACHE_CONTROL = ("Cache-Control", "public, max-age=300")
LINE = 64
BOUNDARY = "est-server-generated-key"
# Ignored by RFC 8951 §3, and needed by Bouncy Castle 1.72.
_TRANSFER_ENCODING = ("Content-Transfer-Encoding", "base64")
ENCODED = (_TRANSFER_ENCODING,)
_PART_ENCODING = "Content-Transfer-Encoding: base64\r\n"
_PERSONAL = (("Cache-Control", "no-store"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class CACertificatesAnswer:
    """An answer to /cacerts made in advance, and the certificates that it was made of."""

    certificates: tuple[bytes, ...]
    response: WireResponse
    not_modified: WireResponse
    entity_tag: str


def encode_certificate(certificate: bytes, layout: AnswerLayout) -> WireResponse:
    """Answer with the issued certificate and no other (RFC 7030 §4.2.3)."""
    return WireResponse(
        status=200,
        media_type=CERTIFICATE,
        body=encode_base64(certs_only.encode((certificate,)), layout),
        headers=ENCODED,
    )


def encode_key_and_certificate(
    key: bytes, certificate: bytes, layout: AnswerLayout, *, encrypted: bool
) -> WireResponse:
    """Answer with a private key and its certificate (RFC 7030 §4.4.2).

    The second part is the very answer of /simpleenroll. No line of base64 begins with a hyphen, so
    the boundary need not be searched for.
    """
    simple = encode_certificate(certificate, layout)
    media_type = GENERATED_KEY if encrypted else PKCS8
    parts = ((media_type, encode_base64(key, layout)), (simple.media_type, simple.body))
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n{_PART_ENCODING}\r\n".encode() + content + b"\r\n"
        for kind, content in parts
    )
    return WireResponse(
        status=200,
        media_type=f'multipart/mixed; boundary="{BOUNDARY}"',
        body=body + f"--{BOUNDARY}--\r\n".encode(),
        headers=(("Cache-Control", "no-store"),),
    )


def encode_ca_certificates(
    certificates: tuple[bytes, ...], layout: AnswerLayout
) -> CACertificatesAnswer:
    """Answer /cacerts (RFC 7030 §4.1.3), and make the short answer for who has it already."""
    body = encode_base64(certs_only.encode(certificates), layout)
    entity_tag = f'"{sha256(body).hexdigest()[:32]}"'
    caching = (("ETag", entity_tag), CACHE_CONTROL, ("Vary", "User-Agent"))
    return CACertificatesAnswer(
        certificates=certificates,
        response=WireResponse(
            status=200, media_type=CERTIFICATES, body=body, headers=(_TRANSFER_ENCODING, *caching)
        ),
        not_modified=WireResponse(status=304, media_type=CERTIFICATES, headers=caching),
        entity_tag=entity_tag,
    )


def encode_csr_attributes(
    wanted: RequestRequirements,
    style: CSRAttributesStyle,
    layout: AnswerLayout,
    *,
    personal: bool,
) -> WireResponse:
    """Answer /csrattrs (RFC 7030 §4.5.2): 204 where nothing is asked of a request.

    What is `personal` to a proven device is not for others' eyes, nor for their caches.
    """
    headers = _PERSONAL if personal else ()
    attributes = csr_attributes.encode(wanted, style)
    if not attributes:
        return WireResponse(status=204, media_type=CSR_ATTRIBUTES, headers=headers)
    return WireResponse(
        status=200,
        media_type=CSR_ATTRIBUTES,
        body=encode_base64(attributes, layout),
        headers=(_TRANSFER_ENCODING, *headers),
    )


def encode_base64(der: bytes, layout: AnswerLayout) -> bytes:
    """Lay base64 out in lines or in one, with a newline at the end in either case."""
    if not layout.in_lines:
        return binascii.b2a_base64(der)
    encoded = binascii.b2a_base64(der, newline=False)
    lines, rest = divmod(len(encoded), LINE)
    last = (encoded[-rest:], b"") if rest else (b"",)
    return b"\n".join((*struct.unpack_from(f"{LINE}s" * lines, encoded), *last))
