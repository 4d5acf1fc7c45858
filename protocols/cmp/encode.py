"""Writing CMP messages: the header, the bodies that a server sends, and their protection."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from protocols import der
from protocols.cmp.messages import (
    CERT_PROFILE,
    CONFIRM_WAIT_TIME,
    DIRECTORY_NAME,
    IMPLICIT_CONFIRM,
    ORIG_PKI_MESSAGE,
    UNSUPPORTED_OIDS,
    BodyType,
    FailInfo,
    InfoTypeAndValue,
    PKIHeader,
    PKIStatus,
    PKIStatusInfo,
)
from protocols.cmp.protection import Protection

NONCE_OCTETS = 16
MEDIA_TYPE = "application/pkixcmp"
SUPPORTED_VERSIONS = range(2, 3 + 1)
_UTF8_STRING = 0x0C
_GENERALIZED_TIME = 0x18
_NULL = b"\x05\x00"
ACCEPTED = PKIStatusInfo(status=PKIStatus.ACCEPTED)


def answer_header(
    request: PKIHeader,
    *,
    sender: bytes,
    sender_kid: bytes | None,
    now: datetime,
    implicit_confirm: bool = False,
    confirm_wait_time: datetime | None = None,
) -> PKIHeader:
    """Make the header of an answer (RFC 9483 §3.1): the request's version or the nearest that is.

    `sender` is a GeneralName, `directory_name` makes one. The nonce is fresh.
    """
    return PKIHeader(
        pvno=min(max(request.pvno, SUPPORTED_VERSIONS[0]), SUPPORTED_VERSIONS[-1]),
        sender=sender,
        recipient=request.sender,
        message_time=now,
        sender_kid=sender_kid,
        transaction_id=request.transaction_id,
        sender_nonce=os.urandom(NONCE_OCTETS),
        recip_nonce=request.sender_nonce,
        implicit_confirm=implicit_confirm,
        confirm_wait_time=confirm_wait_time,
    )


def directory_name(name: bytes) -> bytes:
    """Make a GeneralName of a Name in DER."""
    return der.encode(DIRECTORY_NAME, name)


def encode_message(
    header: PKIHeader,
    body: bytes,
    protection: Protection | None,
    extra_certs: Sequence[bytes] = (),
) -> bytes:
    """Write a message, protected by whoever protects it. `extra_certs` are certificates in DER."""
    algorithm = protection.algorithm if protection is not None else None
    octets = _encode_header(header, algorithm)
    parts = [octets, body]
    if protection is not None:
        bits = protection.protect(der.encode(der.SEQUENCE, octets, body))
        parts.append(der.encode(der.CONTEXT_0, der.encode(der.BIT_STRING, b"\0", bits)))
    if extra_certs:
        unique = dict.fromkeys(extra_certs)
        parts.append(der.encode(der.CONTEXT_1, der.encode(der.SEQUENCE, *unique)))
    return der.encode(der.SEQUENCE, *parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertResponse:
    """RFC 9810 §5.3.4: the certificate, DER, is there with accepted and grantedWithMods only.

    `private_key` is an EnvelopedData with the key that was made for it. In place of the certificate
    may be what decrypts to it: an EncryptedKey (RFC 9810 §5.2.2).
    """

    cert_req_id: int
    status: PKIStatusInfo
    certificate: bytes | None = None
    private_key: bytes | None = field(default=None, repr=False)
    encrypted_certificate: bytes | None = None


def encode_cert_responses(
    body_type: BodyType, responses: Iterable[CertResponse], ca_pubs: Sequence[bytes] = ()
) -> bytes:
    """Write the body of ip, cp or kup. `ca_pubs` are certificates in DER, for ip only."""
    parts = []
    if ca_pubs:
        parts.append(der.encode(der.CONTEXT_1, der.encode(der.SEQUENCE, *ca_pubs)))
    parts.append(der.encode(der.SEQUENCE, *map(_cert_response, responses)))
    return der.encode(body_type.tag, der.encode(der.SEQUENCE, *parts))


def encode_pki_confirm() -> bytes:
    return der.encode(BodyType.PKICONF.tag, _NULL)


def encode_error(status: PKIStatusInfo) -> bytes:
    return der.encode(BodyType.ERROR.tag, der.encode(der.SEQUENCE, encode_status(status)))


def encode_nested(messages: Iterable[bytes]) -> bytes:
    """Write the body of nested: whole messages (RFC 9810 §5.1.3.5)."""
    return der.encode(BodyType.NESTED.tag, der.encode(der.SEQUENCE, *messages))


def encode_poll_response(
    cert_req_ids: Iterable[int], check_after: int, reason: str | None = None
) -> bytes:
    """Write the body of pollRep: ask again after so many seconds (RFC 9810 §5.3.22)."""
    texts = encode_texts([reason]) if reason is not None else b""
    seconds = _integer(check_after)
    entries = [der.encode(der.SEQUENCE, _integer(each), seconds, texts) for each in cert_req_ids]
    return der.encode(BodyType.POLL_REP.tag, der.encode(der.SEQUENCE, *entries))


def encode_revocation_response(statuses: Iterable[PKIStatusInfo]) -> bytes:
    """Write the body of rp, a status for each revocation in order (RFC 9810 §5.3.10).

    Nothing else: RFC 9483 §4.2 has no more, and of revCerts old decoders make nothing.
    """
    content = der.encode(der.SEQUENCE, *map(encode_status, statuses))
    return der.encode(BodyType.RP.tag, der.encode(der.SEQUENCE, content))


def encode_general_response(
    infos: Iterable[InfoTypeAndValue], unsupported: Sequence[bytes] = ()
) -> bytes:
    """Write the body of genp. `unsupported` are the types that were asked for in vain."""
    written = [_info(each.info_type, each.info_value) for each in infos]
    if unsupported:
        written.append(_info(UNSUPPORTED_OIDS, der.encode(der.SEQUENCE, *unsupported)))
    return der.encode(BodyType.GENP.tag, der.encode(der.SEQUENCE, *written))


def encode_certificates(certificates: Iterable[bytes]) -> bytes:
    """Write the value of caCerts, and of crls as well."""
    return der.encode(der.SEQUENCE, *certificates)


def encode_root_update(
    new_with_new: bytes, new_with_old: bytes | None = None, old_with_new: bytes | None = None
) -> bytes:
    """Write RFC 9810 §5.3.19.15 RootCaKeyUpdateContent."""
    return der.encode(
        der.SEQUENCE,
        new_with_new,
        der.encode(der.CONTEXT_0, new_with_old) if new_with_old is not None else b"",
        der.encode(der.CONTEXT_1, old_with_new) if old_with_new is not None else b"",
    )


def encode_status(status: PKIStatusInfo) -> bytes:
    """Write RFC 9810 §5.2.3 PKIStatusInfo."""
    return der.encode(
        der.SEQUENCE,
        _integer(status.status),
        encode_texts(status.texts) if status.texts else b"",
        _fail_info(status.fail_info) if status.fail_info else b"",
    )


def _cert_response(response: CertResponse) -> bytes:
    pair = b""
    if response.certificate is not None:
        # CertOrEncCert is the certificate under [0], and a CertifiedKeyPair may be no more.
        private_key = b""
        if response.private_key is not None:
            (enveloped_data,) = der.split(response.private_key)
            # EncryptedKey (RFC 4211 §2.1) has its tag in place of the SEQUENCE's.
            encrypted_key = der.encode(der.CONTEXT_0, enveloped_data.content)
            private_key = der.encode(der.CONTEXT_0, encrypted_key)
        pair = der.encode(
            der.SEQUENCE, der.encode(der.CONTEXT_0, response.certificate), private_key
        )
    elif response.encrypted_certificate is not None:
        pair = der.encode(der.SEQUENCE, der.encode(der.CONTEXT_1, response.encrypted_certificate))
    return der.encode(
        der.SEQUENCE, _integer(response.cert_req_id), encode_status(response.status), pair
    )


def _encode_header(header: PKIHeader, algorithm: bytes | None) -> bytes:
    optional = (
        _time(header.message_time) if header.message_time is not None else None,
        algorithm,
        _octets(header.sender_kid),
        _octets(header.recip_kid),
        _octets(header.transaction_id),
        _octets(header.sender_nonce),
        _octets(header.recip_nonce),
        encode_texts(header.free_text) if header.free_text else None,
        _general_info(header),
    )
    return der.encode(
        der.SEQUENCE,
        _integer(header.pvno),
        header.sender,
        header.recipient,
        *[
            der.encode(der.CONTEXT_0 | number, field)
            for number, field in enumerate(optional)
            if field is not None
        ],
    )


def _general_info(header: PKIHeader) -> bytes | None:
    infos = []
    if header.implicit_confirm:
        infos.append(_info(IMPLICIT_CONFIRM, _NULL))
    if header.confirm_wait_time is not None:
        infos.append(_info(CONFIRM_WAIT_TIME, _time(header.confirm_wait_time)))
    if header.cert_profile:
        infos.append(_info(CERT_PROFILE, encode_texts(header.cert_profile)))
    if header.originals is not None:
        infos.append(_info(ORIG_PKI_MESSAGE, header.originals))
    return der.encode(der.SEQUENCE, *infos) if infos else None


def _info(info_type: bytes, info_value: bytes | None) -> bytes:
    return der.encode(der.SEQUENCE, info_type, info_value or b"")


def _octets(octets: bytes | None) -> bytes | None:
    return der.encode(der.OCTET_STRING, octets) if octets is not None else None


def _time(time: datetime) -> bytes:
    text = time.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")
    return der.encode(_GENERALIZED_TIME, text.encode())


def encode_texts(texts: Iterable[str]) -> bytes:
    """Write RFC 9810 §5.1.1 PKIFreeText, or any other SEQUENCE OF UTF8String."""
    return der.encode(der.SEQUENCE, *[der.encode(_UTF8_STRING, each.encode()) for each in texts])


def _fail_info(fail_info: frozenset[FailInfo]) -> bytes:
    """Write PKIFailureInfo, a named bit list: no zeros after the last (X.690 §11.2.2)."""
    last = max(fail_info)
    octets = bytearray(last // 8 + 1)
    for each in fail_info:
        octets[each // 8] |= 0x80 >> each % 8
    return der.encode(der.BIT_STRING, bytes((7 - last % 8,)), bytes(octets))


def _integer(number: int) -> bytes:
    return der.encode(
        der.INTEGER, number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, signed=True)
    )
