"""The certificates that the server makes for itself: their files, and their renewal."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.authorities import Authorities, Authority
from ca.keys.software import SoftwareKey, make_private_key, seal_private_key
from ca.service import (
    BACKDATE,
    KEY_GENERATION,
    MESSAGE_SIGNER,
    SCEP_NEXT_RA,
    SCEP_RA,
    ServiceKind,
    service_order,
)
from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    IssuanceOrder,
    new_serial_number,
)
from enroll.policy.keys import spki_of
from enroll.profiles import CertificateClass
from server.authorities import open_key
from server.clock import SystemRandomness
from server.home import HomeError, read_passphrase, read_private, write_private, write_public
from server.wiring import Office, Works

KINDS: tuple[ServiceKind, ...] = (KEY_GENERATION, MESSAGE_SIGNER, SCEP_RA, SCEP_NEXT_RA)
"""All but the TLS certificate, which an operator may bring himself (`server.identity`)."""

SETTLING = timedelta(minutes=3)
"""How long a new certificate waits before it is shown: until every worker has loaded it."""

_log = structlog.get_logger("service")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceIdentity:
    """A certificate of the server's own, the chain above it, and its key."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: SoftwareKey = field(repr=False)


class ServiceCertificates:
    """The server's own certificates of every kind in KINDS."""

    def __init__(self, works: Works, *, renews: bool = True) -> None:
        self._kept = {each.name: ServiceCertificate(works, each, renews=renews) for each in KINDS}

    def of(self, kind: ServiceKind) -> "ServiceCertificate":
        return self._kept[kind.name]

    async def refresh(self) -> None:
        """Bring every kind up to date. Raises HomeError, RegistryUnavailable, …Unavailable."""
        for each in self._kept.values():
            await each.refresh()


class ServiceCertificate:
    """One kind's certificate in use, and the one before it while that is still valid."""

    def __init__(self, works: Works, kind: ServiceKind, *, renews: bool = True) -> None:
        self._works = works
        self._kind = kind
        self._renews = renews
        self._names = (kind.name, previous(kind.name))
        self._one_at_a_time = asyncio.Lock()
        self._identities: tuple[ServiceIdentity, ...] = ()
        self._files: tuple[object, ...] = ()
        self._authorities: Authorities | None = None

    def current(self) -> ServiceIdentity:
        """Give what to show and to sign with: the newest that other workers know too.

        Raises HomeError where there is none.
        """
        usable = self.usable()
        if not usable:
            raise HomeError(f"there is no {self._kind.title} certificate that is valid now")
        shown_from = usable[0].certificate.not_valid_before_utc + BACKDATE + SETTLING
        settled = len(usable) == 1 or self._works.office.clock.now() >= shown_from
        return usable[0] if settled else usable[1]

    def usable(self) -> tuple[ServiceIdentity, ...]:
        """Give all whose certificates are valid now, the newest first."""
        now = self._works.office.clock.now()
        return tuple(each for each in self._identities if _is_valid(each.certificate, now))

    async def refresh(self) -> None:
        """Load what the files hold if they changed; make another before the newest gets old.

        Raises HomeError, RegistryUnavailable, AuthorityUnavailable.
        """
        async with self._one_at_a_time:
            self._load()
            issuer, now = self._issuer(), self._works.office.clock.now()
            if self._renews and issuer is not None and self._is_due(issuer, now):
                await _make(self._works, self._kind, issuer.record.name, now)
                self._load()

    def _issuer(self) -> Authority | None:
        """Give the CA that is to sign it, if there is one and its key is here."""
        authorities = self._works.authorities.now
        found = authorities.next_issuing if self._kind.ahead else authorities.issuing
        return found if found is not None and found.issuer is not None else None

    def _is_due(self, issuer: Authority, now: datetime) -> bool:
        if not self._identities:
            return True
        newest = self._identities[0].certificate
        return is_old(newest, now) or not is_by(newest, issuer.certificate)

    def _load(self) -> None:
        """Take over a changed pair of files once both are there; until then keep what is in use."""
        home = self._works.office.home
        files = tuple(
            file_state(path)
            for each in self._names
            for path in (home.service_certificate(each), home.service_key(each))
        )
        authorities = self._works.authorities.now
        if files == self._files and authorities is self._authorities:
            return
        found = [stored(self._works.office, each) for each in self._names]
        if found[0] is not None or not self._identities:
            self._identities = tuple(
                replace(each, chain=chain_of(each.chain, authorities))
                for each in found
                if each is not None
            )
            self._files = files if found[0] is not None else ()
            self._authorities = authorities


def previous(name: str) -> str:
    """Name the files of the certificate before the one of this name."""
    return f"{name}.previous"


def is_old(certificate: x509.Certificate, now: datetime) -> bool:
    """Tell whether it is in the last third of its time."""
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now > certificate.not_valid_after_utc - lifetime / 3


def is_by_current_issuer(certificate: x509.Certificate, works: Works) -> bool:
    """Tell whether it names the key of the CA that issues now."""
    return is_by(certificate, works.authorities.now.issuing.certificate)


def is_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether it names the issuer's key. Whether that signed it is not looked at."""
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    identifier = own.value.digest
    try:
        above = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return False
    return above.key_identifier == identifier


def stored(office: Office, name: str) -> ServiceIdentity | None:
    """Give the certificate in the home, if it is there and goes with the key beside it."""
    if not all(path.exists() for path in _paths(office, name)):
        return None
    try:
        found = load(office, name)
    except (HomeError, ValueError):
        return None
    if found.certificate.public_key() != found.key.public_key():
        return None  # The machine died between writing the one and the other.
    return found


def load(office: Office, name: str) -> ServiceIdentity:
    """Read certificate, chain and key. Raises HomeError, ValueError."""
    certificates, key = _paths(office, name)
    passphrase = read_passphrase(office.home.resolve(office.config.keys.passphrase_file))
    chain = x509.load_pem_x509_certificates(certificates.read_bytes())
    return ServiceIdentity(
        certificate=chain[0], chain=tuple(chain[1:]), key=open_key(key, passphrase)
    )


def file_state(path: Path) -> object:
    """Tell one state of a file from another."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def chain_of(
    stored_chain: Sequence[x509.Certificate], authorities: Authorities
) -> tuple[x509.Certificate, ...]:
    """Give what a client needs under whichever root it trusts: during a rollover there are two."""
    for name, each in authorities.members.items():
        if each.certificate in stored_chain[:1]:
            between = authorities.above(name)[:-1]
            return (each.certificate, *map(x509.load_der_x509_certificate, between))
    return tuple(stored_chain)


async def put_in_place(
    works: Works, name: str, profile: str, key: SoftwareKey, order: IssuanceOrder
) -> None:
    """Issue, record, and only then write the files. Raises …Unavailable, HomeError."""
    office = works.office
    passphrase = read_passphrase(office.home.resolve(office.config.keys.passphrase_file))
    issued = await works.authority.issue(order)
    record = CertificateRecord(
        fingerprint=sha256(issued.der).hexdigest(),
        issuer=issued.issuer,
        serial_number=f"{order.serial_number:x}",
        device_id=None,
        profile=profile,
        certificate_class=CertificateClass.SERVICE,
        certificate_profile=profile,
        certificate_profile_version=1,
        spki_sha256=sha256(spki_of(order.public_key)).hexdigest(),
        der=issued.der,
        not_valid_before=order.not_valid_before,
        not_valid_after=order.not_valid_after,
        status=CertificateStatus.ACTIVE,
        issued_at=office.clock.now(),
        confirmed_at=office.clock.now(),
    )
    async with office.registry.unit_of_work() as uow:
        uow.certificates.add(record)
        await uow.commit()
    certificates, private = _paths(office, name)
    write_private(private, seal_private_key(key, passphrase, SystemRandomness()))
    chain = [issued.der, *issued.chain[:1]]
    pem = b"".join(
        x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in chain
    )
    write_public(certificates, pem)


async def _make(works: Works, kind: ServiceKind, issuer: str, now: datetime) -> None:
    """Make a certificate of a kind; the one before it is kept, for what was encrypted to it."""
    if stored(works.office, kind.name) is not None:
        _keep_previous(works.office, kind.name)
    key = make_private_key(kind.key_kind)
    order = service_order(
        kind,
        key.public_key(),
        serial_number=new_serial_number(SystemRandomness().octets(20)),
        issuer=issuer,
        now=now,
        not_before=works.authority.not_valid_before(issuer),
        not_after=works.authority.not_valid_after(issuer),
    )
    await put_in_place(works, kind.name, kind.profile, key, order)
    _log.info("certificate made", kind=kind.name, not_after=order.not_valid_after.isoformat())


def _keep_previous(office: Office, name: str) -> None:
    """Copy the pair: whenever the machine dies, one of the two is whole."""
    certificates, key = _paths(office, name)
    kept_certificates, kept_key = _paths(office, previous(name))
    write_private(kept_key, read_private(key))
    write_public(kept_certificates, certificates.read_bytes())


def _paths(office: Office, name: str) -> tuple[Path, Path]:
    return office.home.service_certificate(name), office.home.service_key(name)


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
