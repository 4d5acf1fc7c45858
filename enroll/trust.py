"""The CAs of others whose certificates prove a device here, and on what conditions."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from cryptography import x509

CMC_RA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")


class TrustPurpose(StrEnum):
    """What a trust anchor's word is taken for.

    IDEVID: a maker's; each certificate below it is one device's for life (IEEE 802.1AR).
    AUTH_CA: another CA's that vouches for whoever holds its certificates, each or together.
    RA: its certificates with id-kp-cmcRA are registration authorities', which enroll for devices.
    IMPORT: certificates brought in from elsewhere.
    """

    IDEVID = "idevid"
    AUTH_CA = "auth-ca"
    IMPORT = "import"
    RA = "ra"


@dataclass(frozen=True, kw_only=True)
class TrustAnchor:
    """One CA, registered by an operator; or one registration authority's certificate from here.

    `intermediates` are CAs below it, DER, from which paths are completed. `patterns` are pairs of a
    field and a glob for it: alternatives within one field, all fields together. `profiles` are the
    slugs it is good for, none for all; `groups` the names of those whose devices a registration
    authority may enroll, none for all. Only devices whose attribute `manufacturer` is the one here
    are enrolled by it, if there is one. `policies` are certificate policies, of which a path needs
    one. Unknown devices below it join the group named by `newcomers_join`, if there is one.
    Blocked, it is trusted no more, and no path passes its key.
    """

    anchor_id: str
    tenant_id: str
    name: str
    purpose: TrustPurpose
    der: bytes = field(repr=False)
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)
    patterns: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    manufacturer: str | None = None
    policies: tuple[str, ...] = ()
    newcomers_join: str | None = None
    blocked: bool = False

    @cached_property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @cached_property
    def intermediate_certificates(self) -> tuple[x509.Certificate, ...]:
        return tuple(map(x509.load_der_x509_certificate, self.intermediates))


def says_cmc_ra(certificate: x509.Certificate) -> bool:
    """Tell whether the very purpose stands in it; that it is for anything is not enough."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return CMC_RA in found.value
