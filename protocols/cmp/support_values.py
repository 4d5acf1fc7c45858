"""The values that support messages carry (RFC 9810 §5.3.19): those of a client's, read."""

from dataclasses import dataclass
from datetime import datetime

from enroll.failures import Malformed
from protocols import der
from protocols.certificates import load_certificate
from protocols.cmp.decode import guarded, parts_of, texts_of
from protocols.cmp.messages import DIRECTORY_NAME
from protocols.crmf.template import read_time

_MAXIMUM_STATUSES = 20
_URI = 0x86
_FULL_NAME = 0xA0
_RELATIVE_NAME = 0xA1


@dataclass(frozen=True, slots=True, kw_only=True)
class CRLSource:
    """RFC 9810 §5.3.19.17: which list is meant, by where it is published or by who makes it.

    `issuers` are Names in DER. What a client calls a place is looked up here, and never fetched.
    """

    urls: tuple[str, ...] = ()
    issuers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CRLStatus:
    """A list that is asked for, and the time of the one that the client has, if it has one."""

    source: CRLSource
    this_update: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RootUpdate:
    """A new root CA certificate, and what binds it to the one before, all DER."""

    new_with_new: bytes
    new_with_old: bytes
    old_with_new: bytes


def read_crl_statuses(value: bytes) -> tuple[CRLStatus, ...]:
    """Read crlStatusList, within a message that came from `decode`. Raises Malformed."""
    return guarded(lambda: _crl_statuses(value))


def read_languages(value: bytes) -> tuple[str, ...]:
    """Read suppLangTags. Raises Malformed."""
    return guarded(lambda: texts_of(_only(value)))


def read_algorithm_name(value: bytes) -> bytes:
    """Read keyPairParamReq, an OBJECT IDENTIFIER, and give its DER. Raises Malformed."""
    if guarded(lambda: _only(value)).tag != der.OBJECT_IDENTIFIER:
        raise Malformed("a keyPairParamReq holds something else than an algorithm's name")
    return value


def check_root_certificate(value: bytes) -> None:
    """Demand a certificate where rootCaCert has a value. Raises Malformed."""
    if load_certificate(value) is None:
        raise Malformed("a rootCaCert holds something else than a certificate")


def _only(value: bytes) -> der.Element:
    (element,) = der.split(value)
    return element


def _crl_statuses(value: bytes) -> tuple[CRLStatus, ...]:
    statuses = parts_of(_only(value), "a crlStatusList")
    if not 1 <= len(statuses) <= _MAXIMUM_STATUSES:
        raise Malformed(f"a crlStatusList must be 1 to {_MAXIMUM_STATUSES} elements")
    return tuple(_crl_status(each) for each in statuses)


def _crl_status(element: der.Element) -> CRLStatus:
    parts = parts_of(element, "a CRLStatus")
    if not 1 <= len(parts) <= 2:  # noqa: PLR2004 - a source and perhaps a time
        raise Malformed("a CRLStatus is a source and perhaps a time")
    return CRLStatus(
        source=_source(parts[0]),
        this_update=read_time(parts[1].whole) if parts[1:] else None,
    )


def _source(element: der.Element) -> CRLSource:
    (inner,) = der.split(element.content)
    if element.tag == der.CONTEXT_0 and inner.tag == _RELATIVE_NAME:
        return CRLSource()  # Relative to an issuer that is not told: no list here goes by that.
    if element.tag == der.CONTEXT_0 and inner.tag == _FULL_NAME:
        urls = (each.content for each in der.split(inner.content) if each.tag == _URI)
        return CRLSource(urls=tuple(each.decode("ascii", "replace") for each in urls))
    if element.tag == der.CONTEXT_1 and inner.tag == der.SEQUENCE:
        names = (each.content for each in der.split(inner.content) if each.tag == DIRECTORY_NAME)
        return CRLSource(issuers=tuple(names))
    raise Malformed("the source of a CRLStatus is neither a place nor an issuer")
