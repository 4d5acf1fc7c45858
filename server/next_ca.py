"""What SCEP tells of the CA that is to issue next: one message, signed as it is published."""

import asyncio
from datetime import timedelta

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.authorities import Authorities
from ca.issuers import Issuer
from ca.service import BACKDATE
from enroll.failures import EnrollmentError
from protocols.cms import certs_only
from protocols.cms.content_info import DATA
from protocols.cms.digests import Digest
from protocols.cms.signed_data import Signer, encode_signed_data
from server.home import HomeError
from server.service_certificates import ServiceCertificate, ServiceIdentity, is_by
from server.wiring import Works

KNOWN_AFTER = timedelta(seconds=3)
"""How long the next RA certificate waits before it is told of: until every worker has it."""

_log = structlog.get_logger("service")


class NextCA:
    """Has the message that GetNextCACert is answered with (RFC 8894 §4.7.1), while there is one.

    The CA that issues now signs it: once, in a thread, and not when somebody asks.
    """

    def __init__(self, works: Works, ra: ServiceCertificate) -> None:
        self._works = works
        self._ra = ra
        self._told_of: tuple[Authorities, ServiceIdentity] | None = None
        self._message: bytes | None = None

    def message(self) -> bytes | None:
        """Give it; None without a next CA, or where the present one may not sign messages."""
        if self._told_of is None or self._told_of[0] is not self._works.authorities.now:
            return None
        return self._message

    async def refresh(self) -> None:
        """Make it, once the next CA and its RA are there. Raises as `ServiceCertificate` does."""
        authorities = self._works.authorities.now
        if authorities.next_issuing is None:
            self._told_of = None
            return
        await self._ra.refresh()
        ra = self._next_ra(authorities)
        if ra is None or (self._told_of is not None and self._told_of == (authorities, ra)):
            return
        self._message = await asyncio.to_thread(_encode, authorities, ra)
        self._told_of = (authorities, ra)

    def _next_ra(self, authorities: Authorities) -> ServiceIdentity | None:
        """Give the RA under the next CA, if all workers have had the time to load it."""
        try:
            found = self._ra.current()
        except HomeError:
            return None
        coming = authorities.next_issuing
        made = found.certificate.not_valid_before_utc + BACKDATE
        if coming is None or not is_by(found.certificate, coming.certificate):
            return None
        return found if self._works.office.clock.now() >= made + KNOWN_AFTER else None


def _encode(authorities: Authorities, ra: ServiceIdentity) -> bytes | None:
    """Sign the certificates of the next CA, of its RA and of those above, by the present CA."""
    signer = _signer(authorities.issuing.issuer)
    if signer is None:
        return None
    found = (ra.certificate.public_bytes(Encoding.DER), *authorities.next_certificates)
    return encode_signed_data(
        DATA, certs_only.encode(found), signer=signer, certificates=(authorities.issuing.der,)
    )


def _signer(issuer: Issuer | None) -> Signer | None:
    if issuer is None:
        return None
    usage = issuer.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if not usage.digital_signature:
        _log.info("next CA not told by SCEP", issuer=issuer.name, why="no digitalSignature")
        return None
    hashed = issuer.signature_hash
    digest = Digest(hashed.name) if hashed is not None else Digest.SHA512
    try:
        return Signer.holding(issuer.certificate, issuer.key, digest=digest)
    except EnrollmentError as error:
        _log.info("next CA not told by SCEP", issuer=issuer.name, why=error.detail)
        return None
