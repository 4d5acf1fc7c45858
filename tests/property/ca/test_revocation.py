"""What was revoked stays on the list for as long as anybody may still ask (security R1)."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.policy.slots import held, released
from enroll.policy.slots import revoked as revoke
from enroll.ports import Registry, UnitOfWork
from registry.memory import MemoryRegistry
from server.revocation import RevocationPublisher
from tests.support.authority import an_issuer
from tests.support.builders import a_certificate_record, a_device, a_policy, stage_policy
from tests.support.fakes import FixedClock
from tests.support.lint import check_crl
from tests.support.registries import store

LIFETIME = timedelta(hours=24)
LISTED = frozenset({CertificateStatus.REVOKED, CertificateStatus.ON_HOLD})


@dataclass(slots=True, kw_only=True)
class World:
    """A publisher, what it published, and certificates whose fate we write."""

    clock: FixedClock = field(default_factory=FixedClock)
    registry: Registry = field(default_factory=MemoryRegistry)
    records: dict[str, CertificateRecord] = field(default_factory=dict)
    seen_after_end: set[str] = field(default_factory=set)
    lists: list[x509.CertificateRevocationList] = field(default_factory=list)

    def publisher(self) -> RevocationPublisher:
        """Start one, as after a restart: it remembers nothing but what is in the registry."""
        issuer = an_issuer()
        return RevocationPublisher(
            self.registry, {issuer.name: issuer}, {issuer.name: LIFETIME}, self.clock
        )

    async def begin(self) -> None:
        await store(self.registry, lambda uow: stage_policy(uow, a_policy()))
        await store(self.registry, lambda uow: uow.devices.add(a_device()))

    async def issue(self, hours: int) -> None:
        number = len(self.records) + 1
        record = a_certificate_record(
            number,
            not_valid_before=self.clock.now(),
            not_valid_after=self.clock.now() + timedelta(hours=hours),
        )
        await store(self.registry, lambda uow: uow.certificates.add(record))
        self.records[record.serial_number] = record

    async def change(self, which: int, fate: str) -> None:
        """Revoke, hold or release one of the certificates, if that can be done to it."""
        if not self.records:
            return
        record = sorted(self.records.values(), key=lambda each: each.serial_number)[
            which % len(self.records)
        ]
        now = self.clock.now()
        if fate == "release":
            if record.status is not CertificateStatus.ON_HOLD:
                return
            changed = released(record)
        elif record.status in LISTED:
            return
        elif fate == "hold":
            changed = held(record, now)
        else:
            changed = revoke(record, RevocationReason.KEY_COMPROMISE, now)

        def stage(uow: UnitOfWork) -> None:
            uow.certificates.save(changed, was=record)

        await store(self.registry, stage)
        self.records[record.serial_number] = changed

    async def publish(self) -> None:
        publisher = self.publisher()
        await publisher.refresh()
        latest = publisher.latest("issuing")
        assert latest is not None
        check_crl(latest.der)
        crl = x509.load_der_x509_crl(latest.der)
        self.check(crl)
        for entry in crl:
            serial_number = f"{entry.serial_number:x}"
            if self.records[serial_number].not_valid_after < crl.last_update_utc:
                self.seen_after_end.add(serial_number)

    def check(self, crl: x509.CertificateRevocationList) -> None:
        now = self.clock.now()
        found = {f"{entry.serial_number:x}" for entry in crl}
        listed = {number for number, each in self.records.items() if each.status in LISTED}
        unexpired = {number for number in listed if self.records[number].not_valid_after >= now}
        assert found >= unexpired, "a revoked certificate that is not yet expired is missing"
        assert found <= listed, "a certificate that is not revoked is on the list"
        # RFC 5280 §3.3: not before it appeared on one list beyond its certificate's validity.
        assert found | self.seen_after_end >= listed - self._revoked_late(crl.last_update_utc)
        if not self.lists or crl != self.lists[-1]:
            stale = {
                number
                for number in found & self.seen_after_end
                if self.records[number].not_valid_after + LIFETIME < crl.last_update_utc
            }
            assert not stale, "an entry stays although nobody can need it"
        self._check_number(crl)

    def _revoked_late(self, now: datetime) -> set[str]:
        """Give what was revoked only when its own validity and one period more had passed."""
        return {
            number
            for number, each in self.records.items()
            if each.revoked_at is not None
            and each.revoked_at > each.not_valid_after
            and each.not_valid_after + LIFETIME < now
        }

    def _check_number(self, crl: x509.CertificateRevocationList) -> None:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        if self.lists:
            before = self.lists[-1]
            last = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            assert number in {last, last + 1}
            assert (number == last) is (crl == before)
            assert crl.last_update_utc >= before.last_update_utc
        self.lists.append(crl)


STEPS = st.one_of(
    st.tuples(st.just("issue"), st.sampled_from([1, 12, 24, 48, 500])),
    st.tuples(st.sampled_from(["revoke", "hold", "release"]), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 11, 13, 24, 49, 400])),
    st.tuples(st.just("publish"), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=3, max_size=25))
def test_security_R1_the_list_holds_what_is_revoked_until_nobody_can_ask(
    steps: list[tuple[str, int]],
) -> None:
    async def live() -> None:
        world = World()
        await world.begin()
        for what, number in steps:
            match what:
                case "issue":
                    await world.issue(number)
                case "wait":
                    world.clock.advance(timedelta(hours=number))
                case "publish":
                    await world.publish()
                case _:
                    await world.change(number, what)
        await world.publish()

    asyncio.run(live())


def test_security_R1_a_server_that_slept_over_the_end_still_lists_what_it_had_revoked() -> None:
    async def live() -> set[int]:
        world = World()
        await world.begin()
        await world.issue(hours=12)
        await world.publish()
        await world.change(0, "revoke")
        await world.publish()
        world.clock.advance(timedelta(days=30))
        await world.publish()
        return {entry.serial_number for entry in world.lists[-1]}

    listed = asyncio.run(live())

    assert listed == {int(a_certificate_record(1).serial_number, 16)}


def test_security_R1_the_first_list_of_all_holds_what_was_revoked_and_ended_before_it() -> None:
    async def live() -> int:
        world = World()
        await world.begin()
        await world.issue(hours=1)
        await world.change(0, "revoke")
        world.clock.advance(timedelta(hours=49))
        await world.publish()
        return len(world.lists[-1])

    assert asyncio.run(live()) == 1


def test_security_R1_once_a_later_list_has_held_it_an_expired_entry_goes() -> None:
    async def live() -> list[int]:
        world = World()
        await world.begin()
        await world.issue(hours=12)
        await world.change(0, "revoke")
        lengths = []
        for _ in range(6):
            await world.publish()
            lengths.append(len(world.lists[-1]))
            world.clock.advance(timedelta(hours=13))
        return lengths

    lengths = asyncio.run(live())

    # At 0, 13, 26, 39, 52 and 65 hours; it ended at 12, and one period after that is 36.
    assert lengths == [1, 1, 1, 0, 0, 0]


def test_a_released_hold_leaves_the_list_and_a_revocation_does_not() -> None:
    async def live() -> list[int]:
        world = World()
        await world.begin()
        await world.issue(hours=500)
        lengths = []
        for fate in ("hold", "release", "revoke", "release"):
            await world.change(0, fate)
            await world.publish()
            lengths.append(len(world.lists[-1]))
        return lengths

    lengths = asyncio.run(live())

    assert lengths == [1, 0, 1, 1]
