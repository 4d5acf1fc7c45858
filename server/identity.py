"""The server's own TLS certificate: the operator's, or one of ours that renews itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from ca.authorities import Authorities
from ca.ceremony import ISSUING
from ca.keys.software import KeyKind, make_private_key
from ca.service import tls_order
from enroll.certificates import new_serial_number
from server.clock import SystemRandomness
from server.home import HomeError, read_private
from server.http.tls import ServerCredentials, TLSKey, make_context
from server.service_certificates import (
    chain_of,
    file_state,
    is_by_current_issuer,
    is_old,
    load,
    put_in_place,
    stored,
)
from server.wiring import Works

NAME = "tls"
PROFILE = "tls-server"
_log = structlog.get_logger("identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """One certificate in two manners: device listeners ask for the client's, management not."""

    device: SSL.Context
    management: SSL.Context
    certificate: x509.Certificate


class ServerIdentity:
    """Holds the TLS contexts that new connections take; `refresh` swaps them."""

    def __init__(self, works: Works, *, renews: bool = True) -> None:
        self.works = works
        self._renews = renews
        self._contexts: Contexts | None = None
        self._files: tuple[object, ...] = ()
        self._shown: Authorities | None = None
        self._one_at_a_time = asyncio.Lock()

    def device(self) -> SSL.Context:
        return self._current().device

    def management(self) -> SSL.Context:
        return self._current().management

    @property
    def certificate(self) -> x509.Certificate:
        return self._current().certificate

    async def follow(self) -> None:
        """Refresh if what is shown is not what the CA that issues now certified, or not so."""
        if self.works.office.config.tls.certificate_file or self._contexts is None:
            return
        certificate = self._contexts.certificate
        if self._shown is not self.works.authorities.now or not is_by_current_issuer(
            certificate, self.works
        ):
            await self.refresh()

    async def refresh(self) -> None:
        """Load the certificate if its files changed; ours is made anew before it gets old.

        Raises HomeError, RegistryUnavailable, AuthorityUnavailable.
        """
        async with self._one_at_a_time:
            await self._refresh()

    async def _refresh(self) -> None:
        home, section = self.works.office.home, self.works.office.config.tls
        if section.certificate_file:
            named = (section.certificate_file, section.private_key_file)
            paths = [home.resolve(each) for each in named if each]
        else:
            paths = [home.tls_certificate, home.tls_key]
            if self._renews and self._is_due(paths):
                await _renew(self.works, self.works.office.clock.now())
        files, authorities = tuple(file_state(each) for each in paths), self.works.authorities.now
        if (
            self._contexts is None
            or files != self._files
            or (self._shown is not authorities and not section.certificate_file)
        ):
            if section.certificate_file:
                self._take(_operators(self.works))
            elif self._contexts is None or _stored(self.works) is not None:
                self._take(_ours(self.works))
            else:
                return  # Another worker is just writing the pair; what is shown is still good.
            self._files, self._shown = files, authorities

    def _is_due(self, paths: list[Path]) -> bool:
        if self._contexts is not None and self._files == tuple(file_state(each) for each in paths):
            found: x509.Certificate | None = self._contexts.certificate
        else:
            found = _stored(self.works)
        now = self.works.office.clock.now()
        return (
            found is None
            or is_old(found, now)
            or not _covers(found, self.works)
            or not is_by_current_issuer(found, self.works)
        )

    def _take(self, credentials: ServerCredentials) -> None:
        self._contexts = Contexts(
            device=make_context(credentials, ask_client=True),
            management=make_context(credentials, ask_client=False),
            certificate=credentials.certificate,
        )

    def _current(self) -> Contexts:
        if self._contexts is None:
            raise HomeError("the TLS certificate has not been loaded")
        return self._contexts


def _covers(certificate: x509.Certificate, works: Works) -> bool:
    """Tell whether every configured host stands in the certificate."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = {str(each.value) for each in names}
    return present.issuperset(works.office.config.server.hosts)


def _stored(works: Works) -> x509.Certificate | None:
    """Give the certificate in the home, if it is there and goes with the key beside it."""
    found = stored(works.office, NAME)
    return None if found is None else found.certificate


def _ours(works: Works) -> ServerCredentials:
    found = load(works.office, NAME)
    if not isinstance(found.key, TLSKey):
        raise HomeError(f"{works.office.home.tls_key}: no key of this kind can be used for TLS")
    return ServerCredentials(
        certificate=found.certificate,
        chain=chain_of(found.chain, works.authorities.now),
        key=found.key,
    )


def _operators(works: Works) -> ServerCredentials:
    """Load the operator's certificate and key. Raises HomeError, naming the file."""
    home, section = works.office.home, works.office.config.tls
    path = home.resolve(section.certificate_file)
    key_path = home.resolve(section.private_key_file or section.certificate_file)
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        key = load_pem_private_key(read_private(key_path), None)
    except (OSError, ValueError, TypeError) as error:
        raise HomeError(f"{path} or {key_path}: cannot be used for TLS: {error}") from error
    if not isinstance(key, TLSKey):
        raise HomeError(f"{key_path}: a {type(key).__name__} cannot be used for TLS")
    if key.public_key() != chain[0].public_key():
        raise HomeError(f"{key_path}: is not the key of the certificate in {path}")
    check_tls_certificate(chain[0], works.office.clock.now(), works.office.config.server.hosts)
    return ServerCredentials(certificate=chain[0], chain=chain[1:], key=key)


def check_tls_certificate(
    certificate: x509.Certificate, now: datetime, hosts: Sequence[str]
) -> None:
    """Check what RFC 7030 §3.3 wants of a server certificate (est-T18). Raises HomeError."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise HomeError("the TLS certificate is not valid now")
    missing = [each for each in hosts if not _names(certificate, each)]
    if missing:
        raise HomeError(f"the TLS certificate does not name {', '.join(missing)}")


def _names(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether an alternative name is the host, or `*` in place of its first label."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise HomeError("the TLS certificate has no subject alternative name") from error
    present = {str(each.value).lower() for each in names}
    return host in present or f"*.{host.partition('.')[2]}" in present


async def _renew(works: Works, now: datetime) -> None:
    key = make_private_key(KeyKind.P_256)
    issuer = works.authority.current(ISSUING)
    order = tls_order(
        key.public_key(),
        works.office.config.server.hosts,
        serial_number=new_serial_number(SystemRandomness().octets(20)),
        issuer=issuer,
        now=now,
        not_before=works.authority.not_valid_before(issuer),
        not_after=works.authority.not_valid_after(issuer),
    )
    await put_in_place(works, NAME, PROFILE, key, order)
    _log.info("TLS certificate made", not_after=order.not_valid_after.isoformat())
