"""Registration authorities for tests, from here and under another CA, and a site for them."""

from typing import Any

from cryptography import x509

from enroll.certificates import CertificateRecord
from enroll.credentials import CredentialKind
from enroll.trust import CMC_RA, TrustAnchor, TrustPurpose
from server.appointment import Appointments
from tests.support.builders import TENANT, a_policy, a_trust_anchor, an_enrollment_profile
from tests.support.chains import IDEVID_EXTENSIONS, a_dn
from tests.support.csr import Key, a_csr, a_key, a_name
from tests.support.enrollment import OPERATOR, Ask, Held, Site, open_site
from tests.support.third_party import BETWEEN, ROOT, ask, trust

BY_RA = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.RA})
RENEWED_BY_RA = frozenset({CredentialKind.OWN_CERTIFICATE, CredentialKind.RA})
RA_KEY = a_key("p-256", 7)


def purposes(*oids: x509.ObjectIdentifier) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return (*IDEVID_EXTENSIONS, (x509.ExtendedKeyUsage(oids), False))


AS_RA = purposes(CMC_RA)
A_RA = BETWEEN.issue(a_dn("Factory 1"), key=RA_KEY, extensions=AS_RA)


def factory(**changes: Any) -> TrustAnchor:
    return a_trust_anchor(
        "factory",
        **{
            "der": ROOT.der,
            "intermediates": (BETWEEN.der,),
            "purpose": TrustPurpose.RA,
            **changes,
        },
    )


async def a_site(*parts: Any, **profile: Any) -> Site:
    """Open a site whose bootstrap profile takes registration authorities, with pump-1 at it."""
    options = {"initial_credentials": BY_RA, "renewal_credentials": RENEWED_BY_RA, **profile}
    site = await open_site(a_policy(an_enrollment_profile(**options), *(parts or (factory(),))))
    await site.register(serial_number="SN-1")
    return site


async def appoint(site: Site, name: str = "factory", key: Key = RA_KEY, **options: Any) -> Held:
    _, record = await appointed(site, name, key, **options)
    return Held(der=record.der, key=key)


async def appointed(
    site: Site, name: str = "factory", key: Key = RA_KEY, **options: Any
) -> tuple[TrustAnchor, CertificateRecord]:
    appointments = Appointments(authority=site.authority, trust=trust(site), clock=site.clock)
    conditions = {"groups": (), "profiles": (), **options}
    return await appointments.appoint(
        a_csr(key), name=name, tenant_id=TENANT, actor=OPERATOR, **conditions
    )


def wish(**changes: Any) -> Ask:
    return ask(**{"subject": a_name("pump-1"), **changes})
