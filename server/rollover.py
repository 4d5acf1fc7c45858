"""Putting new CAs in the place of old ones: prepare, publish, activate, retire."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.authorities import crossing
from ca.ceremony import Ceremony, SigningRoot, numbered, root_kind
from ca.keys.software import KeyKind, SoftwareKey, make_private_key, seal_private_key
from ca.succession import (
    AuthorityKind,
    AuthorityRecord,
    AuthorityState,
    Succession,
)
from enroll.certificates import CertificateStatus, new_serial_number
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import Refused, RegistryUnavailable
from enroll.policy.keys import algorithm_of
from enroll.profiles import CertificateClass
from registry.rows import to_text
from registry.tables import certificates
from server.authorities import open_key, read_certificate, read_succession, write_succession
from server.clock import SystemRandomness
from server.home import read_passphrase, write_private, write_public
from server.times import rfc3339
from server.wiring import Office

_IN_USE = (
    CertificateStatus.ACTIVE,
    CertificateStatus.PENDING_CONFIRM,
    CertificateStatus.ON_HOLD,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What devices still hold of CAs that have been succeeded."""

    count: int
    until: datetime | None


class Rollover:
    """The steps that a PKI administrator takes. A running server follows within a second.

    Every step can be given again: what is done stays as it is, and what was broken off is done
    from its beginning. A step is done when the record of the CAs, one file, is replaced; until then
    nothing of it is seen. What happens is written to the audit log before that.
    """

    def __init__(self, office: Office, actor: str) -> None:
        self._office = office
        self._actor = actor

    async def prepare(self, *, new_root: bool, key_algorithm: KeyKind | None) -> Succession:
        """Make a new issuing CA and, unless the root stays, a new root with cross certificates.

        Raises Refused, HomeError, RegistryUnavailable; ValueError for a key that will not do.
        """
        with self._alone():
            before = read_succession(self._office.home)
            after = before.prepare(new_root=new_root)
            if after != before:
                self._make(after, key_algorithm)
                await self._done(EventName.ISSUER_PREPARED, before, after)
            return after

    async def publish(self) -> Succession:
        """Show the new CA beside the present one. Raises Refused, HomeError, …Unavailable."""
        return await self._step(EventName.ISSUER_PUBLISHED, Succession.publish)

    async def activate(self) -> Succession:
        """Issue with the new CA. Raises Refused, HomeError, RegistryUnavailable."""
        return await self._step(EventName.ISSUER_ACTIVATED, Succession.activate)

    async def retire(self, *, abandon: bool) -> Succession:
        """Show the old CA no more, and take its certificates no more.

        Raises Refused while devices hold some that are good, unless they are to be abandoned.
        """

        def step(before: Succession) -> Succession:
            after = before.retire()
            left = self.remaining(before)
            if left.count and not abandon and after != before:
                raise Refused(
                    f"{left.count} certificates of the old CA are in use, the last until "
                    f"{rfc3339(left.until) if left.until else 'unknown'}: let their devices renew, "
                    "or give --abandon to take them no more ('enroll certificate list' names them)"
                )
            return after

        return await self._step(EventName.ISSUER_RETIRED, step)

    def remaining(self, succession: Succession) -> Remaining:
        """Count the certificates of devices that only a succeeded CA vouches for."""
        names = [
            each.name for each in succession.of(AuthorityKind.ISSUING, AuthorityState.SUCCEEDED)
        ]
        table = certificates.c
        wanted = (
            table.issuer.in_(names),
            table.status.in_([each.value for each in _IN_USE]),
            table.superseded_at.is_(None),
            table.certificate_class.in_(
                [CertificateClass.BOOTSTRAP.value, CertificateClass.OPERATIONAL.value]
            ),
            table.not_valid_after > to_text(self._office.clock.now()),
        )
        query = sa.select(sa.func.count(), sa.func.max(table.not_valid_after)).where(*wanted)
        try:
            with self._office.registry.engine.connect() as connection:
                count, until = connection.execute(query).one()
        except sa.exc.SQLAlchemyError as error:
            raise RegistryUnavailable("the database cannot be read") from error
        return Remaining(
            count=count, until=datetime.fromisoformat(until) if until is not None else None
        )

    async def _step(self, event: EventName, step: Callable[[Succession], Succession]) -> Succession:
        with self._alone():
            before = read_succession(self._office.home)
            after = step(before)
            if after != before:
                await self._done(event, before, after)
            return after

    async def _done(self, event: EventName, before: Succession, after: Succession) -> None:
        """Write what changes to the audit log, and only then let it be so."""
        home, now = self._office.home, self._office.clock.now()
        old = {each.name: each for each in before.records}
        async with self._office.registry.unit_of_work() as uow:
            for each in after.records:
                if each == old.get(each.name):
                    continue
                certificate = read_certificate(home.ca_certificate(each.name))
                uow.events.append(
                    EnrollmentEvent(
                        name=event,
                        occurred_at=now,
                        actor=self._actor,
                        facts={
                            "issuer": each.name,
                            "state": each.state.value,
                            "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
                        },
                    )
                )
            await uow.commit()
        write_succession(home, after)

    def _make(self, succession: Succession, key_algorithm: KeyKind | None) -> None:
        """Make keys and certificates of what is prepared; nobody has seen what was there before."""
        home = self._office.home
        passphrase = read_passphrase(home.resolve(self._office.config.keys.passphrase_file))
        workshop = _Workshop(self._office, passphrase)
        old = succession.active(AuthorityKind.ROOT)
        kind = key_algorithm or self._present_kind(succession)
        strongest = root_kind(kind)
        root = workshop.root(old.name)
        for new in succession.of(AuthorityKind.ROOT, AuthorityState.PREPARED):
            root = workshop.make_root(new, old, strongest)
        for certified, by in crossing(succession):
            if {certified, by} == {root.name, old.name}:
                workshop.cross(certified, by)
        for issuing in succession.of(AuthorityKind.ISSUING, AuthorityState.PREPARED):
            number = [each.name for each in succession.of(AuthorityKind.ISSUING, *AuthorityState)]
            workshop.make_issuing(issuing, root, kind, number.index(issuing.name) + 1)

    def _present_kind(self, succession: Succession) -> KeyKind:
        name = succession.active(AuthorityKind.ISSUING).name
        found = algorithm_of(read_certificate(self._office.home.ca_certificate(name)).public_key())
        made_here = {each.value: each for each in KeyKind}
        return made_here.get(found or "", KeyKind.P_256)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else take a step meanwhile. Raises Refused."""
        path = self._office.home.issuers.with_suffix(".lock")
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused("another step of a rollover is being taken at this moment") from None
            yield


class _Workshop:
    """Makes the files of new CAs."""

    def __init__(self, office: Office, passphrase: bytes) -> None:
        self._home = office.home
        self._passphrase = passphrase
        self._randomness = SystemRandomness()
        self._ceremony = Ceremony(
            name="", now=office.clock.now(), public_http_url=office.config.server.public_http_url
        )

    def root(self, name: str) -> SigningRoot:
        """Open a root that is there. Raises Refused if its key is elsewhere."""
        path = self._home.ca_key(name)
        if not path.exists():
            raise Refused(f"the key of {name} has to sign now: put {path} back for this step")
        return SigningRoot(
            name=name,
            certificate=read_certificate(self._home.ca_certificate(name)),
            key=open_key(path, self._passphrase),
        )

    def make_root(
        self, record: AuthorityRecord, old: AuthorityRecord, kind: KeyKind
    ) -> SigningRoot:
        key = self._key(record.name, kind)
        subject = read_certificate(self._home.ca_certificate(old.name)).subject
        certificate = self._ceremony.root_named(subject, key, self._serial_number())
        self._keep(record.name, certificate)
        return SigningRoot(name=record.name, certificate=certificate, key=key)

    def make_issuing(
        self, record: AuthorityRecord, root: SigningRoot, kind: KeyKind, number: int
    ) -> None:
        key = self._key(record.name, kind)
        old = read_certificate(self._home.ca_certificate(record.follows or ""))
        subject = numbered(old.subject, number)
        self._keep(
            record.name, self._ceremony.issuing_named(subject, key, self._serial_number(), root)
        )

    def cross(self, certified: str, by: str) -> None:
        certificate = self._ceremony.cross(
            read_certificate(self._home.ca_certificate(certified)),
            self._serial_number(),
            self.root(by),
        )
        path = self._home.cross_certificate(certified, by)
        write_public(path, certificate.public_bytes(Encoding.PEM))

    def _key(self, name: str, kind: KeyKind) -> SoftwareKey:
        key = make_private_key(kind)
        write_private(
            self._home.ca_key(name), seal_private_key(key, self._passphrase, self._randomness)
        )
        return key

    def _keep(self, name: str, certificate: x509.Certificate) -> None:
        write_public(self._home.ca_certificate(name), certificate.public_bytes(Encoding.PEM))

    def _serial_number(self) -> int:
        return new_serial_number(self._randomness.octets(20))
