"""Giving a registration authority a certificate of this server's CA (RFC 7030 §3.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.ceremony import ISSUING
from ca.service import BACKDATE, CMC_RA
from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    IssuanceOrder,
    new_serial_number,
)
from enroll.device import new_id
from enroll.failures import Malformed
from enroll.policy.keys import check_public_key
from enroll.ports import CertificateAuthority, Clock
from enroll.profiles import SIGNING, CertificateClass, KeyUsageBit
from enroll.trust import TrustAnchor, TrustPurpose
from enroll.trust_administration import TrustAdministration
from protocols import pkcs10
from server.clock import SystemRandomness

VALIDITY = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointments:
    """What it takes to appoint: the CA, and the use cases of trust."""

    authority: CertificateAuthority
    trust: TrustAdministration
    clock: Clock

    async def appoint(
        self,
        request: bytes,
        *,
        name: str,
        tenant_id: str,
        groups: Sequence[str],
        profiles: Sequence[str],
        actor: str,
    ) -> tuple[TrustAnchor, CertificateRecord]:
        """Issue for a certification request in DER, and trust what was issued, both or neither.

        Of the request only the key counts. Raises EnrollmentError, PolicyError, AlreadyTaken,
        …Unavailable.
        """
        asked = pkcs10.decode(request)
        if asked.public_key is None:
            raise Malformed("the request holds no public key")
        check_public_key(asked.public_key, SIGNING)
        now = self.clock.now()
        start = now.replace(microsecond=0)
        issuer = self.authority.current(ISSUING)
        order = IssuanceOrder(
            serial_number=new_serial_number(SystemRandomness().octets(20)),
            issuer=issuer,
            subject=x509.Name(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, name),
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Registration Authority"),
                ]
            ),
            subject_alternative_names=(),
            public_key=asked.public_key,
            key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
            extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH, CMC_RA),
            not_valid_before=max(start - BACKDATE, self.authority.not_valid_before(issuer)),
            not_valid_after=min(start + VALIDITY, self.authority.not_valid_after(issuer)),
        )
        issued = await self.authority.issue(order)
        record = CertificateRecord(
            fingerprint=sha256(issued.der).hexdigest(),
            issuer=issued.issuer,
            serial_number=f"{order.serial_number:x}",
            device_id=None,
            profile=f"ra:{name}",
            certificate_class=CertificateClass.SERVICE,
            certificate_profile="registration-authority",
            certificate_profile_version=1,
            spki_sha256=asked.spki_sha256,
            der=issued.der,
            not_valid_before=order.not_valid_before,
            not_valid_after=order.not_valid_after,
            status=CertificateStatus.ACTIVE,
            issued_at=now,
            confirmed_at=now,
        )
        anchor = TrustAnchor(
            anchor_id=new_id(now, SystemRandomness().octets(10)),
            tenant_id=tenant_id,
            name=name,
            purpose=TrustPurpose.RA,
            der=issued.der,
            groups=tuple(groups),
            profiles=tuple(profiles),
        )
        return await self.trust.appoint(anchor, record, actor=actor), record
