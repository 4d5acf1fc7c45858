"""The server's own certificates: which kinds there are, and the orders for them."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.keys.software import KeyKind
from enroll.certificates import IssuanceOrder
from enroll.profiles import KeyUsageBit

TLS_VALIDITY = timedelta(days=90)
SERVICE_VALIDITY = timedelta(days=365)
BACKDATE = timedelta(minutes=5)
CMC_RA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")
CM_KGA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.32")
ALWAYS = ("localhost", "127.0.0.1", "::1")
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKind:
    """A certificate that the server makes for itself and renews, under the issuing CA.

    `name` names its files (`ca/NAME.pem`, `keys/NAME.key`), `profile` its records in the registry,
    `title` stands in its subject and in what is told to operators. To add one, write a constant
    like those below and put it into `server.service_certificates.KINDS`: from then on the server
    makes it at its start and renews it, and `enroll check` and the backup of a home know of it.
    Who needs it asks `ServiceCertificates.of(KIND)`: `current()` is what to show and sign with,
    `usable()` also holds those before it, as long as they are valid, for what was encrypted to
    them.
    """

    name: str
    profile: str
    title: str
    key_kind: KeyKind
    key_usage: frozenset[KeyUsageBit]
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    ahead: bool = False
    """Made under the CA that is to issue next, while there is one that is published."""


KEY_GENERATION = ServiceKind(
    name="key-generation",
    profile="key-generation",
    title="Key Generation",
    key_kind=KeyKind.P_256,
    key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
    extended_key_usage=(CM_KGA,),
)
"""Signs the keys that are made for devices: id-kp-cmKGA (RFC 9480 §2.2, RFC 7030 §4.4.2)."""

MESSAGE_SIGNER = ServiceKind(
    name="message-signer",
    profile="message-signer",
    title="Message Signer",
    key_kind=KeyKind.P_256,
    key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
    extended_key_usage=(CMC_RA,),
)
"""Signs answers to devices that are neither TLS nor SCEP: those of CMC (RFC 6402 §2.10) and CMP."""

SCEP_RA = ServiceKind(
    name="scep-ra",
    profile="scep-ra",
    title="SCEP RA",
    key_kind=KeyKind.RSA_2048,
    key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.KEY_ENCIPHERMENT}),
    extended_key_usage=(),
)
"""Opens the messages of SCEP and signs the answers (RFC 8894 §2.1.2, §7.2)."""

SCEP_NEXT_RA = replace(SCEP_RA, name="scep-next-ra", title="SCEP next RA", ahead=True)
"""Opens the messages of SCEP that the next CA is to answer (RFC 8894 §5.1, figure 9)."""


def service_order(
    kind: ServiceKind,
    key: CertificatePublicKeyTypes,
    *,
    serial_number: int,
    issuer: str,
    now: datetime,
    not_before: datetime,
    not_after: datetime,
) -> IssuanceOrder:
    """Order a certificate of a kind: a year, within the issuer's own time."""
    start = now.replace(microsecond=0)
    return IssuanceOrder(
        serial_number=serial_number,
        issuer=issuer,
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kind.title)]),
        subject_alternative_names=(),
        public_key=key,
        key_usage=kind.key_usage,
        extended_key_usage=kind.extended_key_usage,
        not_valid_before=max(start - BACKDATE, not_before),
        not_valid_after=min(start + SERVICE_VALIDITY, not_after),
    )


def tls_order(
    key: CertificatePublicKeyTypes,
    hosts: Iterable[str],
    *,
    serial_number: int,
    issuer: str,
    now: datetime,
    not_before: datetime,
    not_after: datetime,
) -> IssuanceOrder:
    """Order a TLS certificate for localhost and these hosts: 90 days, within the issuer's own.

    It carries id-kp-cmcRA too, by which an EST client with only an explicit trust anchor knows the
    server for one that its CA has authorized (RFC 7030 §3.6.1).
    """
    names = tuple(dict.fromkeys((*hosts, *ALWAYS)))
    start = now.replace(microsecond=0)
    common_name = next(each for each in names if len(each) <= _LONGEST_COMMON_NAME)
    return IssuanceOrder(
        serial_number=serial_number,
        issuer=issuer,
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]),
        subject_alternative_names=tuple(_general_name(each) for each in names),
        public_key=key,
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
        extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH, CMC_RA),
        not_valid_before=max(start - BACKDATE, not_before),
        not_valid_after=min(start + TLS_VALIDITY, not_after),
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
