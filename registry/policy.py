"""Tenants, groups and profiles: read whole at one version, written one by one."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    PolicySnapshot,
    Tenant,
)
from registry.session import Session
from registry.tables import certificate_profiles, enrollment_profiles, groups, tenants
from registry.versions import POLICY, bump, read_version, version_in

_TENANT = TypeAdapter(Tenant)
_GROUP = TypeAdapter(DeviceGroup)
_ENROLLMENT = TypeAdapter(EnrollmentProfile)
_CERTIFICATE = TypeAdapter(CertificateProfile)


class PolicyCache:
    """The last snapshot that was read; shared by all units of one registry."""

    def __init__(self) -> None:
        self.snapshot = PolicySnapshot(version=-1)


class SQLPolicy:
    """Implements `enroll.ports.PolicyRepository`."""

    def __init__(self, session: Session, cache: PolicyCache) -> None:
        self._session = session
        self._cache = cache

    async def snapshot(self) -> PolicySnapshot:
        version = read_version(self._session, POLICY)
        if version != self._cache.snapshot.version:
            self._cache.snapshot = self._load(version)
        return self._cache.snapshot

    def expect(self, version: int) -> None:
        def write(connection: sa.Connection) -> None:
            if version_in(connection, POLICY) != version:
                raise ConcurrentChange

        self._session.stage(write)

    def put_tenant(self, tenant: Tenant) -> None:
        key = {"tenant_id": tenant.tenant_id}
        values = {"name": tenant.name, "document": _dump(_TENANT, tenant)}
        self._session.stage(lambda connection: _put(connection, tenants, key, values))

    def put_group(self, group: DeviceGroup) -> None:
        key = {"group_id": group.group_id}
        values = {
            "tenant_id": group.tenant_id,
            "name": group.name,
            "document": _dump(_GROUP, group),
        }
        self._session.stage(lambda connection: _put(connection, groups, key, values))

    def put_enrollment_profile(self, profile: EnrollmentProfile) -> None:
        key = {"slug": profile.slug}
        values = {"tenant_id": profile.tenant_id, "document": _dump(_ENROLLMENT, profile)}

        def write(connection: sa.Connection) -> None:
            owner = connection.execute(_OWNER, key).scalar_one_or_none()
            if owner not in {None, profile.tenant_id}:
                raise AlreadyTaken("slug", profile.slug)
            _put(connection, enrollment_profiles, key, values)

        self._session.stage(write)

    def put_certificate_profile(self, profile: CertificateProfile) -> None:
        key = {
            "tenant_id": profile.tenant_id,
            "name": profile.name,
            "version": profile.version,
        }
        values = {"document": _dump(_CERTIFICATE, profile)}
        self._session.stage(lambda connection: _put(connection, certificate_profiles, key, values))

    def _load(self, version: int) -> PolicySnapshot:
        read = self._session.read
        certificate: dict[tuple[str, str], CertificateProfile] = {}
        for row in read(_CERTIFICATES):  # Ascending versions: the last one stays.
            each = _CERTIFICATE.validate_json(row.document)
            certificate[each.tenant_id, each.name] = each
        enrollment = [_ENROLLMENT.validate_json(row.document) for row in read(_ENROLLMENTS)]
        found_groups = [_GROUP.validate_json(row.document) for row in read(_GROUPS)]
        found_tenants = [_TENANT.validate_json(row.document) for row in read(_TENANTS)]
        return PolicySnapshot(
            version=version,
            tenants={each.tenant_id: each for each in found_tenants},
            groups={each.group_id: each for each in found_groups},
            enrollment_profiles={each.slug: each for each in enrollment},
            certificate_profiles=certificate,
        )


def _put(
    connection: sa.Connection,
    table: sa.Table,
    key: Mapping[str, object],
    values: Mapping[str, object],
) -> None:
    """Store a row under its key, new or not, and tell everyone."""
    matching = sa.and_(*(table.c[name] == value for name, value in key.items()))
    if connection.execute(table.update().where(matching).values(**values)).rowcount == 0:
        connection.execute(table.insert().values(**key, **values))
    bump(connection, POLICY)


def _dump(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value).decode("utf-8")


_OWNER = sa.select(enrollment_profiles.c.tenant_id).where(
    enrollment_profiles.c.slug == sa.bindparam("slug")
)
_TENANTS = sa.select(tenants.c.document)
_GROUPS = sa.select(groups.c.document).order_by(groups.c.name)
_ENROLLMENTS = sa.select(enrollment_profiles.c.document).order_by(enrollment_profiles.c.slug)
_CERTIFICATES = sa.select(certificate_profiles.c.document).order_by(
    certificate_profiles.c.name, certificate_profiles.c.version
)
