"""Tenants, groups, profiles and trust anchors in memory: read whole, written one by one."""

from collections.abc import Callable

from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    PolicySnapshot,
    Tenant,
)
from enroll.trust import TrustAnchor
from registry.memory.tables import POLICY, Session, Tables, check_row


class MemoryPolicy:
    """Implements `enroll.ports.PolicyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def snapshot(self) -> PolicySnapshot:
        tables, moment = self._session.tables, self._session.moment
        version = tables.counters.get(POLICY, moment) or 0
        if tables.policy.version != version:
            tables.policy = _read(tables, moment, version)
        return tables.policy

    def expect(self, version: int) -> None:
        counters = self._session.tables.counters

        def write() -> None:
            if (counters.get(POLICY) or 0) != version:
                raise ConcurrentChange

        self._session.stage(write)

    def put_tenant(self, tenant: Tenant) -> None:
        self._stage(lambda tables: _put_tenant(tables, tenant))

    def put_group(self, group: DeviceGroup) -> None:
        self._stage(lambda tables: _put_group(tables, group))

    def put_enrollment_profile(self, profile: EnrollmentProfile) -> None:
        self._stage(lambda tables: _put_enrollment_profile(tables, profile))

    def put_certificate_profile(self, profile: CertificateProfile) -> None:
        self._stage(lambda tables: _put_certificate_profile(tables, profile))

    def put_trust_anchor(self, anchor: TrustAnchor) -> None:
        self._stage(lambda tables: _put_trust_anchor(tables, anchor))

    def remove_trust_anchor(self, anchor: TrustAnchor) -> None:
        self._stage(lambda tables: _remove_trust_anchor(tables, anchor))

    def _stage(self, put: Callable[[Tables], None]) -> None:
        """Have a part of policy stored, and everyone told."""
        tables = self._session.tables

        def write() -> None:
            put(tables)
            tables.count(POLICY)

        self._session.stage(write)


def _read(tables: Tables, moment: int, version: int) -> PolicySnapshot:
    groups = sorted(tables.groups.all(moment), key=lambda group: group.name)
    enrollment = sorted(tables.enrollment_profiles.all(moment), key=lambda profile: profile.slug)
    certificate = sorted(
        tables.certificate_profiles.all(moment), key=lambda profile: (profile.name, profile.version)
    )
    anchors = sorted(
        tables.trust_anchors.all(moment), key=lambda anchor: (anchor.name, anchor.anchor_id)
    )
    return PolicySnapshot(
        version=version,
        tenants={each.tenant_id: each for each in tables.tenants.all(moment)},
        groups={each.group_id: each for each in groups},
        enrollment_profiles={each.slug: each for each in enrollment},
        certificate_profiles={(each.tenant_id, each.name): each for each in certificate},
        trust_anchors={each.anchor_id: each for each in anchors},
    )


def _put_tenant(tables: Tables, tenant: Tenant) -> None:
    if any(
        each.name == tenant.name and each.tenant_id != tenant.tenant_id
        for each in tables.tenants.all()
    ):
        raise AlreadyTaken("name", tenant.name)
    tables.tenants.put(tenant.tenant_id, tenant)


def _put_group(tables: Tables, group: DeviceGroup) -> None:
    check_row(known=(tables.tenants.get(group.tenant_id),))
    if any(
        (each.tenant_id, each.name) == (group.tenant_id, group.name)
        and each.group_id != group.group_id
        for each in tables.groups.all()
    ):
        raise AlreadyTaken("name", group.name)
    tables.groups.put(group.group_id, group)


def _put_enrollment_profile(tables: Tables, profile: EnrollmentProfile) -> None:
    found = tables.enrollment_profiles.get(profile.slug)
    if found is not None and found.tenant_id != profile.tenant_id:
        raise AlreadyTaken("slug", profile.slug)
    check_row(known=(tables.tenants.get(profile.tenant_id),))
    tables.enrollment_profiles.put(profile.slug, profile)


def _put_certificate_profile(tables: Tables, profile: CertificateProfile) -> None:
    check_row(known=(tables.tenants.get(profile.tenant_id),))
    key = (profile.tenant_id, profile.name, profile.version)
    tables.certificate_profiles.put(key, profile)


def _put_trust_anchor(tables: Tables, anchor: TrustAnchor) -> None:
    check_row(known=(tables.tenants.get(anchor.tenant_id),))
    if any(
        (each.tenant_id, each.name) == (anchor.tenant_id, anchor.name)
        and each.anchor_id != anchor.anchor_id
        for each in tables.trust_anchors.all()
    ):
        raise AlreadyTaken("name", anchor.name)
    tables.trust_anchors.put(anchor.anchor_id, anchor)


def _remove_trust_anchor(tables: Tables, anchor: TrustAnchor) -> None:
    if tables.trust_anchors.get(anchor.anchor_id) is None:
        raise ConcurrentChange
    tables.trust_anchors.remove(anchor.anchor_id)
