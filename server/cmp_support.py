"""What CMP's support messages tell of the CAs here: from memory, and nothing is fetched."""

from collections.abc import Callable

from ca.authorities import Authorities
from ca.issuers import crl_location
from enroll.certificates import RevocationList
from protocols.cmp.support_values import CRLSource, RootUpdate
from server.revocation import RevocationPublisher


class CMPSupport:
    """Finds revocation lists, the same that `/crl` serves, and the change of roots."""

    def __init__(
        self,
        authorities: Callable[[], Authorities],
        crls: RevocationPublisher,
        public_http_url: str,
    ) -> None:
        self._authorities = authorities
        self._crls = crls
        self._url = public_http_url

    def root_update(self, root: bytes | None) -> RootUpdate | None:
        """Give what follows this root, or whichever is being replaced."""
        found = self._authorities().root_update
        if found is None or root not in {None, found.old_with_old}:
            return None
        return RootUpdate(
            new_with_new=found.new_with_new,
            new_with_old=found.new_with_old,
            old_with_new=found.old_with_new,
        )

    def current_crl(self) -> RevocationList | None:
        return self._crls.latest(self._authorities().issuing.record.name)

    def revocation_list(self, source: CRLSource) -> RevocationList | None:
        """Look a place up among those that stand in certificates, an issuer by its name."""
        members = self._authorities().members
        for name, each in reversed(tuple(members.items())):  # The newest of one name.
            by_place = crl_location(self._url, name) in source.urls
            if by_place or each.certificate.subject.public_bytes() in source.issuers:
                return self._crls.latest(name)
        return None
