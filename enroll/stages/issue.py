"""Have the order signed. The certificate stays in memory until it is recorded."""

from enroll.ports import CertificateAuthority
from enroll.steps import Planned, Signed


class Issue:
    """Hands orders to the authority."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self._authority = authority

    async def __call__(self, step: Planned) -> Signed:
        """Sign, or raise AuthorityUnavailable or PolicyViolation."""
        return Signed(planned=step, issued=await self._authority.issue(step.order))
