"""Orders for the server's own certificates."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.certificates import IssuanceOrder
from enroll.profiles import KeyUsageBit

TLS_VALIDITY = timedelta(days=90)
CMC_RA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")
ALWAYS = ("localhost", "127.0.0.1", "::1")
_LONGEST_COMMON_NAME = 64


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
        not_valid_before=max(start - timedelta(minutes=5), not_before),
        not_valid_after=min(start + TLS_VALIDITY, not_after),
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
