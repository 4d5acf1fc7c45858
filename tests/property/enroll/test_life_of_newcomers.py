"""Whoever joins by a passcode, whatever people and time do meanwhile: what is true after it."""

from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from enroll.certificates import CertificateRecord
from enroll.device import Device, DeviceSource, DeviceState
from enroll.events import EventName, Outcome
from enroll.failures import Refused
from enroll.group_secrets import MadeSecret
from enroll.orders import OrderKind
from enroll.profiles import Approval, ProtocolName
from enroll.result import Pending, Rejected
from tests.support.approvals import APPROVER
from tests.support.builders import GROUP, a_policy
from tests.support.csr import Key
from tests.support.enrollment import OPERATOR, Site, a_new_key, by_code, open_site
from tests.support.joining import a_group_to_join, a_profile_that_asks_names
from tests.support.passcodes import a_passcode, ask, secrets_of
from tests.support.registries import look

T = TypeVar("T")
NAMES = ("dut-1", "dut-2", "dut-3", "dut-4", "dut-5", "none")
KEYS = tuple(a_new_key() for _ in range(8))
PER_DAY = 3
MOST_PASSCODES = 4

names = st.sampled_from(NAMES)
keys = st.sampled_from(KEYS)
ways = st.sampled_from(ProtocolName)
picks = st.integers(0, 1_000)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what never has to wait: all of it is in memory."""
    try:
        work.send(None)
    except StopIteration as finished:
        return cast("T", finished.value)
    raise AssertionError("something waits")


class LifeOfNewcomers(RuleBasedStateMachine):
    """One group that is open to passcodes, its operator, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.passcodes: list[MadeSecret] = []

    @initialize(
        secrets=st.sampled_from([Approval.AUTO, Approval.AUTO, Approval.MANUAL]),
        newcomers=st.sampled_from(
            [frozenset[DeviceSource](), frozenset[DeviceSource](), frozenset({DeviceSource.AUTO})]
        ),
    )
    def open(self, secrets: Approval, newcomers: frozenset[DeviceSource]) -> None:
        group = a_group_to_join(
            group_secret_approval=secrets, device_approval=newcomers, newcomers_per_day=PER_DAY
        )
        self.site: Site = run(open_site(a_policy(group, a_profile_that_asks_names())))
        for uses in (1, 2):
            self.make_a_passcode(uses, None)

    @precondition(lambda self: len(self.passcodes) < MOST_PASSCODES)
    @rule(uses=st.sampled_from([1, 2, None]), days=st.sampled_from([None, 1]))
    def make_a_passcode(self, uses: int | None, days: int | None) -> None:
        reference = f"bench-{len(self.passcodes)}"
        lifetime = timedelta(days=days) if days is not None else None
        made = a_passcode(self.site, reference=reference, uses=uses, lifetime=lifetime)
        self.passcodes.append(run(made))

    @precondition(lambda self: self.passcodes)
    @rule(pick=picks, way=ways, name=names, key=keys)
    def join(self, pick: int, way: ProtocolName, name: str, key: Key) -> None:
        number = pick % len(self.passcodes)
        known = {each.fingerprint for each in self._certificates()}
        before = {each.name for each in self._devices()}
        self.site.clock.advance(timedelta(seconds=1))

        result = run(
            ask(
                self.site,
                way,
                self.passcodes[number].clear,
                name=name,
                key=key,
                reference=f"bench-{number}",
                transaction=f"t-{pick}-{len(known)}-{name}",
            )
        )

        assert run(self.site.attempts())[0].outcome is not Outcome.FAILED
        after = {each.name for each in self._devices()}
        if isinstance(result, Rejected):
            assert after == before
        elif isinstance(result, Pending) or result.record.fingerprint in known:
            assert after - before <= {name}
        else:
            assert result.record.certificate.subject.rfc4514_string() == f"CN={name}"
            assert after - before <= {name}
        assert "none" not in after

    @rule(pick=picks, way=ways)
    def many_join(self, pick: int, way: ProtocolName) -> None:
        for number, name in enumerate(NAMES):
            self.join(pick, way, name, KEYS[number])

    @rule(name=st.sampled_from(NAMES[:5]), key=keys)
    def enroll_one_that_is_registered(self, name: str, key: Key) -> None:
        if name not in {each.name for each in self._devices()}:
            run(self.site.register(name))
        device = run(self.site.device(name))
        if device.state is not DeviceState.DELETED:
            run(self.site.send(by_code(name, run(self.site.code(name)), key=key)))

    @rule(pick=picks, yes=st.booleans())
    def decide(self, pick: int, yes: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        waiting = run(self.site.orders(pending_only=True))
        if not waiting:
            return
        order = waiting[pick % len(waiting)]
        try:
            if yes:
                run(self.site.approvals.approve(order.order_id, actor=APPROVER))
            else:
                run(self.site.approvals.reject(order.order_id, "unknown", actor=APPROVER))
        except Refused:
            assert order.kind is OrderKind.CERTIFICATE or order.expires_at <= self.site.clock.now()

    @precondition(lambda self: self.passcodes)
    @rule(pick=picks)
    def take_back(self, pick: int) -> None:
        made = self.passcodes[pick % len(self.passcodes)]
        kept = run(secrets_of(self.site).of_group(GROUP))
        if made.secret.secret_id in {each.secret_id for each in kept}:
            run(secrets_of(self.site).remove(GROUP, made.secret.secret_id, actor=OPERATOR))

    @rule(wait=st.sampled_from([timedelta(hours=3), timedelta(days=1), timedelta(days=8)]))
    def time_passes(self, wait: timedelta) -> None:
        self.site.clock.advance(wait)
        run(self.site.approvals.expire())

    @invariant()
    def no_passcode_is_used_too_often(self) -> None:
        got = Counter(each.credential_id for each in self._certificates())
        for made in self.passcodes:
            if made.secret.max_uses is not None:
                assert got[made.secret.secret_id] <= made.secret.max_uses

    @invariant()
    def no_more_join_in_a_day_than_the_group_takes(self) -> None:
        days = Counter(
            each.created_at.date() for each in self._devices() if each.source == DeviceSource.AUTO
        )
        assert max(days.values(), default=0) <= PER_DAY

    @invariant()
    def who_joined_has_something_to_show_for_it(self) -> None:
        got = {each.device_id for each in self._certificates()}
        ordered = {each.device_id for each in run(self.site.orders())}
        for device in self._devices():
            if device.source == DeviceSource.AUTO:
                assert device.device_id in got | ordered
                told = self._events(device)
                assert [each for each in told if each is EventName.DEVICE_AUTO_PROVISIONED] == [
                    EventName.DEVICE_AUTO_PROVISIONED
                ]

    @invariant()
    def a_passcode_gives_a_device_one_certificate(self) -> None:
        shared = {made.secret.secret_id for made in self.passcodes}
        got = [each for each in self._certificates() if each.credential_id in shared]
        assert max(Counter(each.device_id for each in got).values(), default=0) <= 1
        owners: dict[str, set[str | None]] = {}
        for each in self._certificates():
            owners.setdefault(each.spki_sha256, set()).add(each.device_id)
        assert all(len(each) == 1 for each in owners.values())

    @invariant()
    def nobody_waits_and_has_a_certificate(self) -> None:
        got = {each.device_id for each in self._certificates()}
        for device in self._devices():
            if device.state in {DeviceState.PENDING_APPROVAL, DeviceState.DELETED}:
                assert device.device_id not in got

    def _devices(self) -> Sequence[Device]:
        return run(look(self.site.registry, lambda uow: uow.devices.list()))

    def _certificates(self) -> Sequence[CertificateRecord]:
        return run(look(self.site.registry, lambda uow: uow.certificates.list()))

    def _events(self, device: Device) -> list[EventName]:
        found = run(look(self.site.registry, lambda uow: uow.events.of_device(device.device_id)))
        return [each.name for each in found]


TestLifeOfNewcomers = LifeOfNewcomers.TestCase
TestLifeOfNewcomers.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
