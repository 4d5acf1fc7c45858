"""The contract of `PolicyRepository`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.credentials import CredentialKind, GroupSecret
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.options import ChallengePasswordRule, ESTOptions, SCEPOptions
from enroll.ports import Registry, UnitOfWork
from enroll.profiles import (
    CertificateClass,
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    GroupStatus,
    KeyAlgorithm,
    KeyUsageBit,
    OnDisable,
    PolicySnapshot,
    ProtocolName,
    ReEnrollment,
)
from enroll.trust import TrustAnchor, TrustPurpose
from tests.support.builders import (
    TENANT,
    a_certificate_profile,
    a_group,
    a_policy,
    a_tenant,
    a_trust_anchor,
    an_enrollment_profile,
    an_id,
    stage_policy,
)
from tests.support.fakes import START
from tests.support.registries import look, store

OTHER_TENANT = a_tenant("other")


async def snapshot(registry: Registry) -> PolicySnapshot:
    return await look(registry, lambda uow: uow.policy.snapshot())


async def is_condemned(registry: Registry, key: str) -> bool:
    return await look(registry, lambda uow: uow.keys.find(key)) is not None


async def put_profile(registry: Registry, profile: CertificateProfile) -> None:
    await store(registry, lambda uow: uow.policy.put_certificate_profile(profile))


def contents(policy: PolicySnapshot) -> PolicySnapshot:
    return replace(policy, version=0)


async def test_policy_changed_since_it_was_read_is_a_concurrent_change(
    registry: Registry,
) -> None:
    async with registry.unit_of_work() as uow:
        policy = await uow.policy.snapshot()
        await store(registry, lambda other: other.policy.put_group(a_group("new")))
        uow.policy.expect(policy.version)

        with pytest.raises(ConcurrentChange):
            await uow.commit()


@pytest.mark.parametrize("difference", [-1, 1, 1_000])
async def test_another_version_than_the_present_is_not_expected(
    registry: Registry, difference: int
) -> None:
    version = (await snapshot(registry)).version

    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.policy.expect(version + difference))


async def test_policy_changed_by_the_same_unit_is_not_what_was_read(registry: Registry) -> None:
    version = (await snapshot(registry)).version

    def stage(uow: UnitOfWork) -> None:
        uow.policy.put_group(a_group("new"))
        uow.policy.expect(version)

    with pytest.raises(ConcurrentChange):
        await store(registry, stage)

    assert (await snapshot(registry)).version == version


async def test_a_policy_changed_at_the_same_moment_lets_no_old_decision_pass(
    registry: Registry,
) -> None:
    """Whoever is committed after the change is refused; whoever is before it is not."""
    version = (await snapshot(registry)).version

    async def decide(number: int) -> None:
        def stage(uow: UnitOfWork) -> None:
            uow.policy.expect(version)
            uow.keys.condemn(an_id(f"key {number}"), START)

        await store(registry, stage)

    outcomes = await asyncio.gather(
        *[decide(number) for number in range(10)],
        store(registry, lambda uow: uow.policy.put_group(a_group("new"))),
        *[decide(number) for number in range(10, 20)],
        return_exceptions=True,
    )

    assert outcomes[10] is None
    for number in (*range(10), *range(10, 20)):
        outcome = outcomes[number if number < 10 else number + 1]
        assert await is_condemned(registry, an_id(f"key {number}")) == (outcome is None)
        assert outcome is None or isinstance(outcome, ConcurrentChange)


async def test_another_tenants_slug_is_refused(registry: Registry) -> None:
    foreign = an_enrollment_profile("bootstrap", tenant_id=OTHER_TENANT.tenant_id)
    await store(registry, lambda uow: uow.policy.put_tenant(OTHER_TENANT))
    before = await snapshot(registry)

    with pytest.raises(AlreadyTaken) as refusal:
        await store(registry, lambda uow: uow.policy.put_enrollment_profile(foreign))

    assert (refusal.value.what, refusal.value.value) == ("slug", "bootstrap")
    assert await snapshot(registry) == before


async def test_a_groups_name_taken_in_the_tenant_is_refused(registry: Registry) -> None:
    same_name = a_group("default", group_id=an_id("another"))

    with pytest.raises(AlreadyTaken) as refusal:
        await store(registry, lambda uow: uow.policy.put_group(same_name))

    assert (refusal.value.what, refusal.value.value) == ("name", "default")


async def test_a_group_cannot_be_renamed_to_anothers_name(registry: Registry) -> None:
    await store(registry, lambda uow: uow.policy.put_group(a_group("spare")))

    with pytest.raises(AlreadyTaken):
        await store(
            registry, lambda uow: uow.policy.put_group(a_group(group_id=an_id("group spare")))
        )


async def test_a_tenants_name_that_is_taken_is_refused(registry: Registry) -> None:
    same_name = a_tenant("default", tenant_id=an_id("another"))

    with pytest.raises(AlreadyTaken) as refusal:
        await store(registry, lambda uow: uow.policy.put_tenant(same_name))

    assert (refusal.value.what, refusal.value.value) == ("name", "default")


async def test_a_trust_anchors_name_taken_in_the_tenant_is_refused(registry: Registry) -> None:
    await store(registry, lambda uow: uow.policy.put_trust_anchor(a_trust_anchor()))
    same_name = a_trust_anchor(anchor_id=an_id("another"))

    with pytest.raises(AlreadyTaken) as refusal:
        await store(registry, lambda uow: uow.policy.put_trust_anchor(same_name))

    assert (refusal.value.what, refusal.value.value) == ("name", "maker")


async def test_a_trust_anchor_that_is_gone_cannot_be_removed_again(registry: Registry) -> None:
    anchor = a_trust_anchor()
    await store(registry, lambda uow: uow.policy.put_trust_anchor(anchor))
    await store(registry, lambda uow: uow.policy.remove_trust_anchor(anchor))
    before = await snapshot(registry)

    with pytest.raises(ConcurrentChange):
        await store(registry, lambda uow: uow.policy.remove_trust_anchor(anchor))

    assert before.trust_anchors == {}
    assert await snapshot(registry) == before


async def test_a_change_that_fails_moves_no_version(registry: Registry) -> None:
    before = await snapshot(registry)

    def stage(uow: UnitOfWork) -> None:
        uow.policy.put_tenant(OTHER_TENANT)
        uow.policy.put_group(a_group("default", group_id=an_id("another")))

    with pytest.raises(AlreadyTaken):
        await store(registry, stage)

    assert await snapshot(registry) == before


async def test_an_empty_registry_has_an_empty_policy(empty: Registry) -> None:
    policy = await snapshot(empty)

    assert contents(policy) == PolicySnapshot(version=0)
    await store(empty, lambda uow: uow.policy.expect(policy.version))


async def test_policy_comes_back_as_it_was_stored(empty: Registry) -> None:
    group = DeviceGroup(
        group_id=an_id("group"),
        tenant_id=OTHER_TENANT.tenant_id,
        name="Halle №7",
        status=GroupStatus.DISABLED,
        required_profiles=("operational", "spare"),
        on_disable=OnDisable.REVOKE,
        secrets=(
            GroupSecret(
                secret_id=an_id("secret"),
                digest="00ff",
                wrapped="ff00",
                created_at=START,
                expires_at=START + timedelta(days=1),
            ),
        ),
    )
    certificate = CertificateProfile(
        name="Profile 7",
        tenant_id=OTHER_TENANT.tenant_id,
        version=3,
        validity=timedelta(days=36_500, microseconds=1),
        backdate=timedelta(0),
        subject=(("CN", "{name}"), ("O", "Łódź {attribute.site}"), ("OU", "")),
        subject_alternative_names=(),
        key_usage=frozenset(KeyUsageBit),
        requestable_key_usage=frozenset(),
        extended_key_usage=("serverAuth", "1.2.3.4"),
        key_algorithms=frozenset({KeyAlgorithm.ED448}),
    )
    enrollment = EnrollmentProfile(
        slug="spare",
        tenant_id=OTHER_TENANT.tenant_id,
        certificate_class=CertificateClass.OPERATIONAL,
        certificate_profile="Profile 7",
        issuer="issuing-2",
        protocols=frozenset({ProtocolName.CMP}),
        initial_credentials=frozenset(CredentialKind),
        renewal_credentials=frozenset(),
        own_certificates_of=("bootstrap",),
        re_enrollment=ReEnrollment.DENY,
        allow_replace=True,
        renewal_window=1 / 7,
        allow_same_key=True,
        confirm_timeout=timedelta(seconds=1),
        expired_grace=timedelta(days=30, microseconds=1),
        revoke_superseded_after=timedelta(days=7, microseconds=3),
        replay_window=timedelta(0),
        est=ESTOptions(challenge_password=ChallengePasswordRule.CODE),
        scep=SCEPOptions(legacy=True),
    )
    anchor = TrustAnchor(
        anchor_id=an_id("anchor"),
        tenant_id=OTHER_TENANT.tenant_id,
        name="Werk №7",
        purpose=TrustPurpose.AUTH_CA,
        der=bytes(range(256)),
        intermediates=(b"\xff\x00", b""),
        patterns=(("serialNumber", "SN-*"), ("CN", "ü?")),
        profiles=("spare",),
        manufacturer="Łódź",
        policies=("2.999.1",),
        blocked=True,
    )
    policy = a_policy(
        replace(OTHER_TENANT, default_profile="spare"), group, certificate, enrollment, anchor
    )

    await store(empty, lambda uow: stage_policy(uow, policy))

    assert contents(await snapshot(empty)) == contents(policy)


async def test_groups_and_endpoints_come_in_the_order_of_their_names(registry: Registry) -> None:
    names = ["b", "B", "a", "ä"]

    def stage(uow: UnitOfWork) -> None:
        for name in names:
            uow.policy.put_group(a_group(name))
            uow.policy.put_trust_anchor(a_trust_anchor(name))
        for slug in ("z", "a-b", "a.b"):
            uow.policy.put_enrollment_profile(an_enrollment_profile(slug))

    await store(registry, stage)

    policy = await snapshot(registry)
    assert [each.name for each in policy.groups.values()] == sorted([*names, "default"])
    assert list(policy.enrollment_profiles) == sorted(policy.enrollment_profiles)
    assert [each.name for each in policy.trust_anchors.values()] == sorted(names)


async def test_every_change_makes_another_version(registry: Registry) -> None:
    changes = [
        lambda uow: uow.policy.put_tenant(OTHER_TENANT),
        lambda uow: uow.policy.put_group(a_group("new")),
        lambda uow: uow.policy.put_certificate_profile(a_certificate_profile("new")),
        lambda uow: uow.policy.put_enrollment_profile(an_enrollment_profile("new")),
        lambda uow: uow.policy.put_group(a_group("new", status=GroupStatus.DISABLED)),
        lambda uow: uow.policy.put_group(a_group("new")),
        lambda uow: uow.policy.put_trust_anchor(a_trust_anchor()),
        lambda uow: uow.policy.put_trust_anchor(a_trust_anchor(blocked=True)),
        lambda uow: uow.policy.remove_trust_anchor(a_trust_anchor()),
    ]
    versions = [(await snapshot(registry)).version]

    for change in changes:
        await store(registry, change)
        versions.append((await snapshot(registry)).version)

    assert len(set(versions)) == len(versions)
    assert versions == sorted(versions)


async def test_what_changes_nothing_of_policy_leaves_its_version(registry: Registry) -> None:
    before = await snapshot(registry)

    await store(registry, lambda uow: uow.keys.condemn("00", START))

    assert await snapshot(registry) == before


async def test_a_part_that_is_stored_again_is_replaced(registry: Registry) -> None:
    changed = an_enrollment_profile("bootstrap", allow_replace=False, issuer="issuing-2")

    await store(registry, lambda uow: uow.policy.put_enrollment_profile(changed))

    assert contents(await snapshot(registry)) == contents(a_policy(changed))


@pytest.mark.parametrize("order", [(1, 2, 10), (10, 2, 1)])
async def test_the_newest_version_of_a_certificate_profile_is_in_force(
    registry: Registry, order: tuple[int, ...]
) -> None:
    for version in order:
        profile = a_certificate_profile("p", version=version, validity=timedelta(days=version))
        await put_profile(registry, profile)

    policy = await snapshot(registry)
    assert policy.certificate_profiles[TENANT, "p"].version == 10
    assert policy.certificate_profiles[TENANT, "p"].validity == timedelta(days=10)


async def test_names_of_groups_and_profiles_are_free_in_another_tenant(registry: Registry) -> None:
    group = a_group("default", group_id=an_id("foreign"), tenant_id=OTHER_TENANT.tenant_id)
    profile = a_certificate_profile(
        "bootstrap", tenant_id=OTHER_TENANT.tenant_id, validity=timedelta(days=1)
    )
    ours = a_trust_anchor()
    theirs = a_trust_anchor(anchor_id=an_id("theirs"), tenant_id=OTHER_TENANT.tenant_id)

    def stage(uow: UnitOfWork) -> None:
        uow.policy.put_tenant(OTHER_TENANT)
        uow.policy.put_group(group)
        uow.policy.put_certificate_profile(profile)
        uow.policy.put_trust_anchor(ours)
        uow.policy.put_trust_anchor(theirs)

    await store(registry, stage)

    assert contents(await snapshot(registry)) == contents(
        a_policy(OTHER_TENANT, group, profile, ours, theirs)
    )


async def test_an_older_unit_reads_older_policy_after_a_newer_one_was_read(
    registry: Registry,
) -> None:
    async with registry.unit_of_work() as older:
        await older.devices.list()
        await store(registry, lambda uow: uow.policy.put_group(a_group("new")))
        newer = await snapshot(registry)

        before = await older.policy.snapshot()

    assert before.version < newer.version
    assert "new" not in {each.name for each in before.groups.values()}
    assert await snapshot(registry) == newer
