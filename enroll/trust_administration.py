"""Use cases: which CAs of others are trusted, and which of their certificates no longer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from cryptography import x509

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.device import Device, DeviceIdentity, DeviceState, IdentityKind
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import AlreadyTaken, NotFound, Refused
from enroll.policy.chronicle import Chronicle
from enroll.policy.known_authorities import known_authorities
from enroll.policy.paths.building import find_path
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError
from enroll.policy.paths.validation import PathRules
from enroll.policy.registration_authorities import is_appointed
from enroll.policy.slots import Change, revoked
from enroll.policy.third_party import has_storable_serial, record_of
from enroll.policy.trust_anchors import check_trust_anchor
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import PolicySnapshot
from enroll.retry import decided_anew
from enroll.trust import TrustAnchor


class TrustAdministration:
    """Stores trust anchors, and takes single certificates below them out of use.

    Raises PolicyError, which names the key at fault, NotFound, AlreadyTaken and Refused.
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    @decided_anew
    async def add(
        self, anchor: TrustAnchor, *, own: Sequence[x509.Certificate], actor: str
    ) -> TrustAnchor:
        """Trust a CA. One of this server's `own` is none of others (est-T19)."""
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            check_trust_anchor(anchor, policy)
            _check_foreign(anchor, own)
            if _named(policy, anchor.tenant_id, anchor.name) is not None:
                raise AlreadyTaken("name", anchor.name)
            await _check_issued_here(anchor, uow)
            uow.policy.expect(policy.version)
            uow.policy.put_trust_anchor(anchor)
            self._changed(uow, actor, anchor, "added")
            await uow.commit()
        return anchor

    @decided_anew
    async def appoint(
        self, anchor: TrustAnchor, issued: CertificateRecord, *, actor: str
    ) -> TrustAnchor:
        """Trust a registration authority by the certificate that was just issued to it.

        One that is there under this name goes on with it, and with the conditions that it had.
        """
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            known = _named(policy, anchor.tenant_id, anchor.name)
            if known is not None:
                if not is_appointed(known):
                    raise AlreadyTaken("name", anchor.name)
                anchor = replace(
                    anchor,
                    anchor_id=known.anchor_id,
                    groups=anchor.groups or known.groups,
                    profiles=anchor.profiles or known.profiles,
                    manufacturer=known.manufacturer,
                    blocked=known.blocked,
                )
            check_trust_anchor(anchor, policy)
            uow.policy.expect(policy.version)
            uow.certificates.add(issued)
            uow.policy.put_trust_anchor(anchor)
            self._changed(uow, actor, anchor, "appointed")
            await uow.commit()
        return anchor

    @decided_anew
    async def change(
        self, anchor: TrustAnchor, *, own: Sequence[x509.Certificate], actor: str
    ) -> TrustAnchor:
        """Store an anchor that is there with other conditions."""
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            check_trust_anchor(anchor, policy)
            _check_foreign(anchor, own)
            if anchor.anchor_id not in policy.trust_anchors:
                raise NotFound(f"there is no trust anchor {anchor.name!r}")
            uow.policy.expect(policy.version)
            uow.policy.put_trust_anchor(anchor)
            self._changed(uow, actor, anchor, "changed")
            await uow.commit()
        return anchor

    @decided_anew
    async def remove(self, anchor: TrustAnchor, *, actor: str) -> TrustAnchor:
        """Trust a CA no more. What was issued on its word stays as it is."""
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            if anchor.anchor_id not in policy.trust_anchors:
                raise NotFound(f"there is no trust anchor {anchor.name!r}")
            uow.policy.expect(policy.version)
            uow.policy.remove_trust_anchor(anchor)
            self._changed(uow, actor, anchor, "removed")
            await uow.commit()
        return anchor

    @decided_anew
    async def revoke(
        self,
        tenant_id: str,
        chain: Sequence[x509.Certificate],
        reason: RevocationReason,
        *,
        actor: str,
    ) -> CertificateRecord:
        """Refuse from now on a certificate of another CA's that has not been shown here yet."""
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            record = self._unseen(tenant_id, chain, await uow.policy.snapshot())
            for each in await uow.certificates.by_serial(record.serial_number):
                if each.issuer == record.issuer:
                    raise Refused(
                        f"it has been shown here: enroll certificate revoke {each.serial_number}"
                    )
            after = revoked(record, reason, now)
            uow.certificates.add(after)
            if reason is RevocationReason.KEY_COMPROMISE:
                uow.keys.condemn(record.spki_sha256, now)
            uow.events.append(Chronicle(actor=actor, at=now).changed(Change(was=record, now=after)))
            await uow.commit()
        return after

    @decided_anew
    async def unpin(self, device_id: str, reason: str, *, actor: str) -> Device:
        """Untie a device from the IDevID that it has shown; that one is refused from now on.

        The next one under the device's identity is then tied to it: for a repair by its maker.
        """
        if not reason.strip():
            raise Refused("say why: the audit log keeps a reason for this")
        now = self._clock.now()
        chronicle = Chronicle(actor=actor, at=now)
        async with self._registry.unit_of_work() as uow:
            device = await uow.devices.by_id(device_id)
            if device is None or device.state is DeviceState.DELETED:
                raise NotFound(f"there is no device {device_id}")
            pins = {
                each.value
                for each in device.identities
                if each.kind is IdentityKind.IDEVID_CERT_SHA256
            }
            if not pins:
                raise Refused(f"no certificate is pinned to {device.name}")
            for record in await uow.certificates.of_device(device_id):
                if record.fingerprint in pins and record.status is not CertificateStatus.REVOKED:
                    after = revoked(record, RevocationReason.SUPERSEDED, now)
                    uow.certificates.save(after, was=record)
                    uow.events.append(chronicle.changed(Change(was=record, now=after)))
            unpinned = replace(device, identities=_without_pins(device), updated_at=now)
            uow.devices.save(unpinned)
            uow.events.append(
                chronicle.event(
                    EventName.DEVICE_CERTIFICATE_UNPINNED,
                    device_id,
                    fingerprints=sorted(pins),
                    reason=reason.strip(),
                )
            )
            await uow.commit()
        return unpinned

    def _unseen(
        self, tenant_id: str, chain: Sequence[x509.Certificate], policy: PolicySnapshot
    ) -> CertificateRecord:
        """Write the record of a certificate, which has to have a path to an anchor."""
        known = known_authorities(tenant_id, policy)
        leaf, *sent = map(PathCertificate, chain)
        now = self._clock.now()
        try:
            path = find_path(leaf, sent, known.store, PathRules(at=now, grace=timedelta.max))
        except PathError as error:
            raise Refused(f"it is not under a trust anchor: {error.detail}") from error
        if not has_storable_serial(leaf):
            raise Refused("its serial number is not one that a certificate may have")
        return record_of(path, known.anchors[path.anchor.anchor_id], None, now)

    def _changed(self, uow: UnitOfWork, actor: str, anchor: TrustAnchor, what: str) -> None:
        uow.events.append(
            EnrollmentEvent(
                name=EventName.POLICY_CHANGED,
                occurred_at=self._clock.now(),
                actor=actor,
                facts={
                    "kind": "trust anchor",
                    "name": anchor.name,
                    "change": what,
                    "purpose": anchor.purpose.value,
                    "fingerprint": PathCertificate(anchor.certificate).fingerprint,
                    "blocked": anchor.blocked,
                },
            )
        )


def _check_foreign(anchor: TrustAnchor, own: Sequence[x509.Certificate]) -> None:
    """Keep the two stores of RFC 7030 §3.1 apart: our CAs are known by what they issued."""
    ours = {PathCertificate(each).spki_sha256 for each in own}
    for each in (anchor.certificate, *anchor.intermediate_certificates):
        certificate = PathCertificate(each)
        if certificate.spki_sha256 in ours:
            raise Refused(f"{certificate.title} is a CA of this server, and no other's")


async def _check_issued_here(anchor: TrustAnchor, uow: UnitOfWork) -> None:
    """Refuse a registration authority that is no CA, unless its certificate is from here."""
    if not is_appointed(anchor):
        return
    certificate = PathCertificate(anchor.certificate)
    if await uow.certificates.by_fingerprint(certificate.fingerprint) is None:
        raise Refused(
            f"{certificate.title} is no CA's certificate, and none from here; trust the CA that "
            "issued it, or give the registration authority one from here by 'enroll trust appoint'"
        )


def _named(policy: PolicySnapshot, tenant_id: str, name: str) -> TrustAnchor | None:
    return next(
        (
            each
            for each in policy.trust_anchors.values()
            if (each.tenant_id, each.name) == (tenant_id, name)
        ),
        None,
    )


def _without_pins(device: Device) -> tuple[DeviceIdentity, ...]:
    return tuple(
        each for each in device.identities if each.kind is not IdentityKind.IDEVID_CERT_SHA256
    )
