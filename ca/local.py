"""The authority whose keys this process holds."""

from collections import OrderedDict
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature

from ca.issuers import Issuer, IssuerSet
from ca.linting import lint
from ca.template import Splicer
from enroll.certificates import CertificateRecord, IssuanceOrder, IssuedCertificate
from enroll.failures import AuthorityUnavailable, EnrollmentError, FailureReason
from enroll.ports import Clock

REMEMBERED = 65_536
"""How many checked certificates are remembered; one costs a signature verification."""


class LocalAuthority:
    """Implements `enroll.ports.CertificateAuthority` with software keys."""

    def __init__(self, issuers: IssuerSet, clock: Clock) -> None:
        self._clock = clock
        self._checked: OrderedDict[tuple[bytes, str], None] = OrderedDict()
        self.adopt(issuers)

    def adopt(self, issuers: IssuerSet) -> None:
        """Sign as these issuers from now on; an order under way is finished by those before."""
        self._issuers = issuers
        self._splicers = {name: Splicer(issuer) for name, issuer in issuers.issuers.items()}

    def current(self, issuer: str) -> str:
        """Name the issuer that signs now where this one was named."""
        return self._issuers.successors.get(issuer, issuer)

    async def issue(self, order: IssuanceOrder) -> IssuedCertificate:
        """Sign an order. Raises AuthorityUnavailable, PolicyViolation."""
        issuer = self._issuer(order.issuer)
        now = self._clock.now()
        if not issuer.not_valid_before <= now <= issuer.not_valid_after:
            raise AuthorityUnavailable(
                f"the certificate of issuer {issuer.name!r} is not valid now", retry_after=60
            )
        lint(order, issuer, now)
        der = self._splicers[order.issuer].certificate(order)
        return IssuedCertificate(der=der, chain=(issuer.der, *issuer.chain), issuer=issuer.name)

    def check_issued(self, record: CertificateRecord) -> None:
        """Verify the issuer's signature over this very certificate, once.

        Nothing is concluded from names, serial or key identifiers. Raises EnrollmentError
        (SIGNER_NOT_TRUSTED).
        """
        issuer = self._issuers.named(record.issuer)
        if issuer is None:
            raise _untrusted(f"issuer {record.issuer!r} is not one of ours")
        if sha256(record.der).hexdigest() != record.fingerprint:
            raise _untrusted("the record and its certificate do not belong together")
        known = (issuer.der, record.fingerprint)
        if known in self._checked:
            self._checked.move_to_end(known)
            return
        try:
            record.certificate.verify_directly_issued_by(issuer.certificate)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise _untrusted(f"issuer {record.issuer!r} did not sign it") from error
        self._checked[known] = None
        if len(self._checked) > REMEMBERED:
            self._checked.popitem(last=False)

    def chain(self, issuer: str) -> tuple[bytes, ...]:
        found = self._issuers.named(issuer)
        if found is None:
            raise _absent(issuer)
        return (found.der, *found.chain)

    def not_valid_before(self, issuer: str) -> datetime:
        return self._issuer(issuer).not_valid_before

    def not_valid_after(self, issuer: str) -> datetime:
        return self._issuer(issuer).not_valid_after

    def _issuer(self, name: str) -> Issuer:
        issuer = self._issuers.issuers.get(name)
        if issuer is None:
            raise _absent(name)
        return issuer


def _absent(name: str) -> AuthorityUnavailable:
    return AuthorityUnavailable(f"there is no issuer {name!r} here", retry_after=60)


def _untrusted(detail: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.SIGNER_NOT_TRUSTED, detail, finding="certificate_not_ours")
