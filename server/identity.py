"""The server's own TLS certificate: the operator's, or one of ours that renews itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL

from ca.ceremony import ISSUING
from ca.keys.software import (
    KeyKind,
    SoftwareKey,
    make_private_key,
    seal_private_key,
)
from ca.service import tls_order
from enroll.certificates import CertificateRecord, CertificateStatus, new_serial_number
from enroll.policy.keys import spki_of
from enroll.profiles import CertificateClass
from server.clock import SystemRandomness
from server.home import HomeError, read_passphrase, read_private, write_private, write_public
from server.http.tls import ServerCredentials, TLSKey, make_context
from server.wiring import Works, open_key

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

    def device(self) -> SSL.Context:
        return self._current().device

    def management(self) -> SSL.Context:
        return self._current().management

    @property
    def certificate(self) -> x509.Certificate:
        return self._current().certificate

    async def refresh(self) -> None:
        """Load the certificate if its files changed; ours is made anew before it gets old.

        Raises HomeError, RegistryUnavailable, AuthorityUnavailable.
        """
        home, section = self.works.office.home, self.works.office.config.tls
        if section.certificate_file:
            named = (section.certificate_file, section.private_key_file)
            paths = [home.resolve(each) for each in named if each]
        else:
            paths = [home.tls_certificate, home.tls_key]
            if self._renews and self._is_due(paths):
                await _renew(self.works, self.works.office.clock.now())
        files = tuple(_state(each) for each in paths)
        if self._contexts is None or files != self._files:
            self._take(_operators(self.works) if section.certificate_file else _ours(self.works))
            self._files = files

    def _is_due(self, paths: list[Path]) -> bool:
        if self._contexts is not None and self._files == tuple(_state(each) for each in paths):
            found: x509.Certificate | None = self._contexts.certificate
        else:
            found = _stored(self.works)
        now = self.works.office.clock.now()
        return found is None or _is_old(found, now) or not _covers(found, self.works)

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


def _is_old(certificate: x509.Certificate, now: datetime) -> bool:
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now > certificate.not_valid_after_utc - lifetime / 3


def _covers(certificate: x509.Certificate, works: Works) -> bool:
    """Tell whether every configured host stands in the certificate."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = {str(each.value) for each in names}
    return present.issuperset(works.office.config.server.hosts)


def _stored(works: Works) -> x509.Certificate | None:
    """Give the certificate in the home, if it is there and goes with the key beside it."""
    home = works.office.home
    if not home.tls_certificate.exists() or not home.tls_key.exists():
        return None
    try:
        found = _ours(works)
    except (HomeError, ValueError):
        return None
    if found.certificate.public_key() != found.key.public_key():
        return None  # The machine died between writing the one and the other.
    return found.certificate


def _state(path: Path) -> object:
    """Tell one state of a file from another."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _ours(works: Works) -> ServerCredentials:
    home, config = works.office.home, works.office.config
    passphrase = read_passphrase(home.resolve(config.keys.passphrase_file))
    chain = x509.load_pem_x509_certificates(home.tls_certificate.read_bytes())
    return ServerCredentials(
        certificate=chain[0], chain=chain[1:], key=open_key(home.tls_key, passphrase)
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
    """Issue, record, and only then put in place."""
    office = works.office
    passphrase = read_passphrase(office.home.resolve(office.config.keys.passphrase_file))
    key: SoftwareKey = make_private_key(KeyKind.P_256)
    order = tls_order(
        key.public_key(),
        office.config.server.hosts,
        serial_number=new_serial_number(SystemRandomness().octets(20)),
        issuer=ISSUING,
        now=now,
        not_before=works.authority.not_valid_before(ISSUING),
        not_after=works.authority.not_valid_after(ISSUING),
    )
    issued = await works.authority.issue(order)
    record = CertificateRecord(
        fingerprint=sha256(issued.der).hexdigest(),
        issuer=issued.issuer,
        serial_number=f"{order.serial_number:x}",
        device_id=None,
        profile=PROFILE,
        certificate_class=CertificateClass.SERVICE,
        certificate_profile=PROFILE,
        certificate_profile_version=1,
        spki_sha256=sha256(spki_of(order.public_key)).hexdigest(),
        der=issued.der,
        not_valid_before=order.not_valid_before,
        not_valid_after=order.not_valid_after,
        status=CertificateStatus.ACTIVE,
        issued_at=now,
        confirmed_at=now,
    )
    async with office.registry.unit_of_work() as uow:
        uow.certificates.add(record)
        await uow.commit()
    write_private(office.home.tls_key, seal_private_key(key, passphrase, SystemRandomness()))
    chain = [issued.der, *issued.chain[:1]]
    pem = b"".join(
        x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in chain
    )
    write_public(office.home.tls_certificate, pem)
    _log.info("TLS certificate made", not_after=order.not_valid_after.isoformat())
