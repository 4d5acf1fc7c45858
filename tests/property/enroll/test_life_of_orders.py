"""Whatever devices ask and people decide, in whatever order: what is true of orders meanwhile."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
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
from enroll.credentials import OneTimeCode
from enroll.device import Device, DeviceSource, DeviceState, DeviceStatus
from enroll.events import EventName, Outcome
from enroll.failures import NotFound, Refused
from enroll.orders import Order, OrderKind, OrderState
from enroll.ports import UnitOfWork
from enroll.profiles import Approval
from enroll.result import Issued, Pending
from tests.support.approvals import APPROVER
from tests.support.arrangements import disable, enable
from tests.support.builders import a_group, a_policy
from tests.support.csr import Key, a_name
from tests.support.enrollment import (
    OPERATOR,
    Ask,
    Held,
    Site,
    a_new_key,
    by_certificate,
    by_code,
    open_site,
    renewal,
)
from tests.support.registries import look

T = TypeVar("T")
NAMES = ("pump-1", "pump-2")
KEYS = tuple(a_new_key() for _ in range(6))
WAITS = timedelta(minutes=1), timedelta(hours=25), timedelta(days=8)
ENDS = {OrderState.ISSUED, OrderState.REJECTED, OrderState.EXPIRED, OrderState.CANCELLED}
FOLLOWING = {
    OrderState.PENDING: set(OrderState),
    OrderState.APPROVED: ENDS | {OrderState.APPROVED},
}

names = st.sampled_from(NAMES)
keys = st.sampled_from(KEYS)
picks = st.integers(0, 1_000)
approvals = st.sampled_from(Approval)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what never has to wait: all of it is in memory."""
    try:
        work.send(None)
    except StopIteration as finished:
        return cast("T", finished.value)
    raise AssertionError("something waits")


class LifeOfOrders(RuleBasedStateMachine):
    """Two devices with four keys among them, who adds them, who approves, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[tuple[str, str]] = []
        self.asks: list[Ask] = []
        self.hands: list[Held] = []
        self.before: dict[str, Order] = {}

    @initialize(first=approvals, renewals=approvals, screened=st.booleans())
    def open(self, first: Approval, renewals: Approval, *, screened: bool) -> None:
        self.group = a_group(
            approval=first,
            renewal_approval=renewals,
            device_approval=frozenset(DeviceSource) if screened else frozenset(),
        )
        self.site: Site = run(open_site(a_policy(self.group)))
        for name in NAMES:
            run(self.site.register(name))

    @rule(name=names, uses=st.integers(1, 2))
    def make_a_code(self, name: str, uses: int) -> None:
        try:
            self.codes.append((name, run(self.site.code(name, uses=uses))))
        except NotFound:
            assert run(self.site.device(name)).state is DeviceState.DELETED

    @precondition(lambda self: self.codes)
    @rule(pick=picks, key=keys)
    def enroll_by_code(self, pick: int, key: Key) -> None:
        name, code = self.codes[pick % len(self.codes)]
        self._send(by_code(name, code, key=key))

    @rule(name=names, key=keys)
    def enroll_by_a_fresh_code(self, name: str, key: Key) -> None:
        self.make_a_code(name, 1)
        if self.codes and self.codes[-1][0] == name:
            self._send(by_code(name, self.codes[-1][1], key=key))

    @precondition(lambda self: self.asks)
    @rule()
    def ask_for_another_name(self) -> None:
        self._send(replace(self.asks[-1], subject=a_name("anything")))

    @precondition(lambda self: self.asks)
    @rule(name=names)
    def be_let_in_and_repeat(self, name: str) -> None:
        """Do what people do most: say yes to the device, and to what it asks."""
        for _ in range(2):
            device = run(self.site.device(name))
            for order in self._orders(device.device_id):
                if order.state is OrderState.PENDING:
                    self._approve(order)
        self._send(self.asks[-1])

    @precondition(lambda self: self.asks)
    @rule(name=names)
    def stop_what_waits(self, name: str) -> None:
        self._send(self.asks[-1])
        self.disable(name)

    @precondition(lambda self: self.hands)
    @rule(pick=picks, key=keys)
    def enroll_by_certificate(self, pick: int, key: Key) -> None:
        self._send(by_certificate(self.hands[pick % len(self.hands)], key=key))

    @precondition(lambda self: self.hands)
    @rule(pick=picks, key=keys)
    def renew(self, pick: int, key: Key) -> None:
        self._send(renewal(self.hands[pick % len(self.hands)], key=key))

    @precondition(lambda self: self.asks)
    @rule(pick=picks)
    def repeat(self, pick: int) -> None:
        self._send(self.asks[pick % len(self.asks)])

    @precondition(lambda self: self.asks)
    @rule()
    def repeat_the_newest(self) -> None:
        self._send(self.asks[-1])

    @precondition(lambda self: self.before)
    @rule(pick=picks)
    def approve(self, pick: int) -> None:
        self._approve(self._pick(pick))

    def _approve(self, order: Order) -> None:
        device = self._device(order.device_id)
        try:
            run(self.site.approvals.approve(order.order_id, actor=APPROVER))
        except Refused:
            assert (
                order.state is not OrderState.PENDING
                or self.site.clock.now() >= order.expires_at
                or (device.state is DeviceState.PENDING_APPROVAL and order.wish is not None)
            )

    @precondition(lambda self: self.before)
    @rule(pick=picks)
    def reject(self, pick: int) -> None:
        order = self._pick(pick)
        try:
            run(self.site.approvals.reject(order.order_id, "no", actor=APPROVER))
        except Refused:
            assert not order.is_open

    @rule(name=names)
    def disable(self, name: str) -> None:
        device = run(self.site.device(name))
        try:
            run(disable(self.site, name))
        except Refused:
            out = {DeviceState.PENDING_APPROVAL, DeviceState.DELETED}
            assert device.status is DeviceStatus.DISABLED or device.state in out
            return
        assert not any(each.is_open for each in self._orders(device.device_id))

    @rule(name=names)
    def enable(self, name: str) -> None:
        if run(self.site.device(name)).status is DeviceStatus.DISABLED:
            run(enable(self.site, name))

    @rule(name=names)
    def reset(self, name: str) -> None:
        device = run(self.site.device(name))
        try:
            _, made = run(self.site.lifecycle.reset(device.device_id, "repair", actor=OPERATOR))
        except Refused:
            return
        self.codes.append((name, made.clear))
        assert not any(each.is_open for each in self._orders(device.device_id))

    @rule(wait=st.sampled_from(WAITS))
    def time_passes(self, wait: timedelta) -> None:
        self.site.clock.advance(wait)

    @rule()
    def sweep(self) -> None:
        run(self.site.approvals.expire())
        assert run(self.site.approvals.expire()) == 0
        now = self.site.clock.now()
        assert not any(each.is_open and each.expires_at <= now for each in self._orders())

    @invariant()
    def a_slot_has_one_open_order(self) -> None:
        opened = Counter((each.device_id, each.profile) for each in self._orders() if each.is_open)
        assert max(opened.values(), default=0) <= 1

    @invariant()
    def an_order_goes_forward_and_what_was_asked_stays(self) -> None:
        now = {each.order_id: each for each in self._orders()}
        assert set(now) >= set(self.before)
        for order_id, was in self.before.items():
            order = now[order_id]
            assert (order.wish, order.requested_at, order.requested_by) == (
                was.wish,
                was.requested_at,
                was.requested_by,
            )
            assert order.state in FOLLOWING.get(was.state, {was.state})
        self.before = now

    @invariant()
    def an_issued_order_names_its_certificate_and_nobody_else_does(self) -> None:
        led_to = [each for each in self._orders() if each.state is OrderState.ISSUED]
        known = {each.fingerprint: each for each in self._certificates()}
        for each in led_to:
            record = known[each.fingerprint or ""]
            assert each.wish is not None
            assert record.spki_sha256 == each.wish.spki_sha256
            assert (record.device_id, record.profile) == (each.device_id, each.profile)
        assert len({each.fingerprint for each in led_to}) == len(led_to)

    @invariant()
    def nothing_is_issued_past_the_people_who_decide(self) -> None:
        approved = {
            each.fingerprint
            for each in self._orders()
            if each.state is OrderState.ISSUED and each.decided_by == APPROVER
        }
        for name in NAMES:
            for event in run(self.site.events(name)):
                if event.name is EventName.CERTIFICATE_ISSUED:
                    renews = event.facts["cause"] == "renew"
                    rule_ = self.group.renewal_approval if renews else self.group.approval
                    by_people = event.facts["fingerprint"] in approved
                    assert rule_ is Approval.AUTO or by_people

    @invariant()
    def an_unapproved_device_has_nothing(self) -> None:
        out = {DeviceState.PENDING_APPROVAL, DeviceState.DELETED}
        for name in NAMES:
            device = run(self.site.device(name))
            mine = [each for each in self._certificates() if each.device_id == device.device_id]
            if device.state in out:
                assert mine == []
            waiting = [
                each
                for each in self._orders(device.device_id)
                if each.kind is OrderKind.DEVICE and each.is_open
            ]
            assert (device.state is DeviceState.PENDING_APPROVAL) == bool(waiting)
            if device.state is DeviceState.DELETED:
                assert not any(each.is_open for each in self._orders(device.device_id))

    @invariant()
    def a_code_counts_as_often_as_it_was_used(self) -> None:
        for name in NAMES:
            device_id = run(self.site.device(name)).device_id
            told = Counter(
                event.facts["code"]
                for event in run(self.site.events(name))
                if event.name is EventName.CODE_USED
            )
            for code in self._codes(device_id):
                assert told[code.code_id] == code.uses <= code.max_uses

    def _send(self, ask: Ask) -> None:
        self.site.clock.advance(timedelta(seconds=1))
        known = {each.fingerprint for each in self._certificates()}
        orders = {each.order_id: each for each in self._orders()}

        result = run(self.site.send(ask))

        self.asks.append(ask)
        newest = run(self.site.attempts())[0]
        assert newest.outcome is not Outcome.FAILED, newest
        after = {each.order_id: each for each in self._orders()}
        new = set(after) - set(orders)
        if isinstance(result, Pending):
            assert new <= {result.order_id}
            assert after[result.order_id].state is OrderState.PENDING
            if new:
                self._check_may_ask(after[result.order_id])
        else:
            assert not new
        if isinstance(result, Issued):
            assert (result.record.fingerprint in known) is result.repeated
            if not result.repeated:
                self.hands.append(Held(der=result.record.der, key=ask.key))
        else:
            assert len(self._certificates()) == len(known)

    def _check_may_ask(self, order: Order) -> None:
        """Check that a key that was rejected has been vouched for since, by a new code."""
        slot = [each for each in self._orders(order.device_id) if each.profile == order.profile]
        earlier = [each for each in slot if _key(each) == _key(order) and each != order]
        if not earlier or earlier[0].state is not OrderState.REJECTED:
            return
        assert order.wish is not None
        assert earlier[0].decided_at is not None
        codes = {each.code_id: each for each in self._codes(order.device_id)}
        assert codes[order.wish.credential_id].created_at > earlier[0].decided_at

    def _pick(self, pick: int) -> Order:
        orders = self._orders()
        return orders[pick % len(orders)]

    def _device(self, device_id: str) -> Device:
        device = self._look(lambda uow: uow.devices.by_id(device_id))
        assert device is not None
        return device

    def _orders(self, device_id: str | None = None) -> Sequence[Order]:
        every = run(self.site.orders())
        return [each for each in every if device_id in {None, each.device_id}]

    def _codes(self, device_id: str) -> Sequence[OneTimeCode]:
        return self._look(lambda uow: uow.codes.of_device(device_id))

    def _certificates(self) -> Sequence[CertificateRecord]:
        return self._look(lambda uow: uow.certificates.list())

    def _look(self, read: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return run(look(self.site.registry, read))


def _key(order: Order) -> str | None:
    return order.wish.spki_sha256 if order.wish is not None else None


TestLifeOfOrders = LifeOfOrders.TestCase
TestLifeOfOrders.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
