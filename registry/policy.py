"""Tenants, groups, profiles and trust anchors: read whole at one version, written one by one."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
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
from enroll.trust import TrustAnchor
from registry.database import RowRefused, WriteTransaction
from registry.session import Session
from registry.statements import Query
from registry.tables import (
    certificate_profiles,
    enrollment_profiles,
    groups,
    tenants,
    trust_anchors,
)
from registry.versions import POLICY, bump, expecting, read_version

_TENANT = TypeAdapter(Tenant)
_GROUP = TypeAdapter(DeviceGroup)
_ENROLLMENT = TypeAdapter(EnrollmentProfile)
_CERTIFICATE = TypeAdapter(CertificateProfile)
_ANCHOR = TypeAdapter(TrustAnchor)


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
        version = await read_version(self._session, POLICY)
        if version != self._cache.snapshot.version:
            self._cache.snapshot = await self._load(version)
        return self._cache.snapshot

    def expect(self, version: int) -> None:
        self._session.stage(expecting(POLICY, version))

    def put_tenant(self, tenant: Tenant) -> None:
        key = {"tenant_id": tenant.tenant_id}
        values = {"name": tenant.name, "document": _dump(_TENANT, tenant)}
        self._session.stage(_Put(tenants, key, values, AlreadyTaken("name", tenant.name)))

    def put_group(self, group: DeviceGroup) -> None:
        key = {"group_id": group.group_id}
        values = {
            "tenant_id": group.tenant_id,
            "name": group.name,
            "document": _dump(_GROUP, group),
        }
        self._session.stage(_Put(groups, key, values, AlreadyTaken("name", group.name)))

    def put_enrollment_profile(self, profile: EnrollmentProfile) -> None:
        key = {"slug": profile.slug}
        values = {"tenant_id": profile.tenant_id, "document": _dump(_ENROLLMENT, profile)}
        taken = AlreadyTaken("slug", profile.slug)
        put = _Put(enrollment_profiles, key, values, taken)

        async def put_own(transaction: WriteTransaction) -> None:
            owner = await transaction.rows(_OWNER, key)
            if owner and owner[0].tenant_id != profile.tenant_id:
                raise taken
            await put(transaction)

        self._session.stage(put_own)

    def put_certificate_profile(self, profile: CertificateProfile) -> None:
        key = {
            "tenant_id": profile.tenant_id,
            "name": profile.name,
            "version": profile.version,
        }
        values = {"document": _dump(_CERTIFICATE, profile)}
        self._session.stage(_Put(certificate_profiles, key, values))

    def put_trust_anchor(self, anchor: TrustAnchor) -> None:
        key = {"anchor_id": anchor.anchor_id}
        values = {
            "tenant_id": anchor.tenant_id,
            "name": anchor.name,
            "document": _anchor_document(anchor),
        }
        self._session.stage(_Put(trust_anchors, key, values, AlreadyTaken("name", anchor.name)))

    def remove_trust_anchor(self, anchor: TrustAnchor) -> None:
        this = trust_anchors.c.anchor_id == anchor.anchor_id

        async def remove(transaction: WriteTransaction) -> None:
            if not await transaction.execute(trust_anchors.delete().where(this)):
                raise ConcurrentChange
            await bump(transaction, POLICY)

        self._session.stage(remove)

    async def _load(self, version: int) -> PolicySnapshot:
        read = self._session.read
        certificate: dict[tuple[str, str], CertificateProfile] = {}
        for row in await read(_CERTIFICATES):  # Ascending versions: the last one stays.
            each = _CERTIFICATE.validate_json(row.document)
            certificate[each.tenant_id, each.name] = each
        enrollment = [_ENROLLMENT.validate_json(row.document) for row in await read(_ENROLLMENTS)]
        found_groups = [_GROUP.validate_json(row.document) for row in await read(_GROUPS)]
        found_tenants = [_TENANT.validate_json(row.document) for row in await read(_TENANTS)]
        found_anchors = [_anchor_from(row.document) for row in await read(_ANCHORS)]
        return PolicySnapshot(
            version=version,
            tenants={each.tenant_id: each for each in found_tenants},
            groups={each.group_id: each for each in found_groups},
            enrollment_profiles={each.slug: each for each in enrollment},
            certificate_profiles=certificate,
            trust_anchors={each.anchor_id: each for each in found_anchors},
        )


@dataclass(frozen=True, slots=True)
class _Put:
    """Stores a row under its key, new or not, and tells everyone."""

    table: sa.Table
    key: Mapping[str, object]
    values: Mapping[str, object]
    taken: AlreadyTaken | None = None

    async def __call__(self, transaction: WriteTransaction) -> None:
        try:
            await self._put(transaction)
        except RowRefused as error:
            if self.taken is not None and error.table == self.table.name:
                raise self.taken from error
            raise
        await bump(transaction, POLICY)

    async def _put(self, transaction: WriteTransaction) -> None:
        matching = sa.and_(*(self.table.c[name] == value for name, value in self.key.items()))
        if not await transaction.execute(self.table.update().where(matching).values(**self.values)):
            await transaction.execute(self.table.insert().values(**self.key, **self.values))


def _dump(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value).decode("utf-8")


def _anchor_document(anchor: TrustAnchor) -> str:
    """Write an anchor as JSON, its certificates in base64."""
    document = _ANCHOR.dump_python(anchor)
    document["der"] = b64encode(anchor.der).decode("ascii")
    document["intermediates"] = [b64encode(each).decode("ascii") for each in anchor.intermediates]
    return json.dumps(document)


def _anchor_from(text: str) -> TrustAnchor:
    document = json.loads(text)
    document["der"] = b64decode(document["der"])
    document["intermediates"] = [b64decode(each) for each in document["intermediates"]]
    return _ANCHOR.validate_python(document)


_OWNER = Query(
    sa.select(enrollment_profiles.c.tenant_id).where(
        enrollment_profiles.c.slug == sa.bindparam("slug")
    )
)
_TENANTS = Query(sa.select(tenants.c.document))
_GROUPS = Query(sa.select(groups.c.document).order_by(groups.c.name))
_ENROLLMENTS = Query(sa.select(enrollment_profiles.c.document).order_by(enrollment_profiles.c.slug))
_ANCHORS = Query(
    sa.select(trust_anchors.c.document).order_by(trust_anchors.c.name, trust_anchors.c.anchor_id)
)
_CERTIFICATES = Query(
    sa.select(certificate_profiles.c.document).order_by(
        certificate_profiles.c.name, certificate_profiles.c.version
    )
)
