"""Whatever people and devices do, in whatever order: what is true after each step."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.credentials import OneTimeCode
from enroll.device import TRANSITIONS, Device, DeviceState, DeviceStatus
from enroll.events import EnrollmentEvent, EventName, Outcome
from enroll.failures import Refused
from enroll.ports import UnitOfWork
from enroll.profiles import OnDisable, ReEnrollment
from enroll.result import Issued
from tests.support.arrangements import disable, enable
from tests.support.builders import a_group, a_policy, an_enrollment_profile
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
NAMES = ("pump-1", "pump-2", "pump-3")
KEYS = tuple(a_new_key() for _ in range(9))
SLOTS = ("bootstrap", "operational")
REQUIRED = "operational"
MOVES = {
    (before.value if before else None, after.value) for (before, _), after in TRANSITIONS.items()
}
FINAL = CertificateStatus.REVOKED
AFTER_SUPERSEDED = {CertificateStatus.SUPERSEDED, CertificateStatus.ON_HOLD, FINAL}
WAITS = timedelta(minutes=1), timedelta(hours=25), timedelta(days=70), timedelta(days=300)

POLICIES = tuple(
    itertools.product(
        OnDisable, ReEnrollment, (False, True), (None, timedelta(0), timedelta(days=2))
    )
)

names = st.sampled_from(NAMES)
keys = st.sampled_from(KEYS)
subjects = st.sampled_from((*NAMES, "PUMP-1", "anything"))
picks = st.integers(0, 1_000)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what never has to wait: all of it is in memory."""
    try:
        work.send(None)
    except StopIteration as finished:
        return cast("T", finished.value)
    raise AssertionError("something waits")


class LifeOfDevices(RuleBasedStateMachine):
    """Three devices with nine keys among them, their operator, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[tuple[str, str]] = []
        self.hands: list[Held] = []
        self.asks: list[Ask] = []
        self.condemned: set[str] = set()
        self.before: dict[str, CertificateRecord] = {}

    @initialize(kind=st.sampled_from(POLICIES))
    def open(self, kind: tuple[OnDisable, ReEnrollment, bool, timedelta | None]) -> None:
        on_disable, re_enrollment, same_key, retire = kind
        policy = a_policy(
            a_group(on_disable=on_disable, required_profiles=(REQUIRED,)),
            *(
                an_enrollment_profile(
                    slot,
                    re_enrollment=re_enrollment,
                    allow_same_key=same_key,
                    revoke_superseded_after=retire,
                )
                for slot in SLOTS
            ),
        )
        self.site: Site = run(open_site(policy))
        for name in NAMES:
            run(self.site.register(name))

    @rule(name=names, uses=st.integers(1, 3))
    def make_a_code(self, name: str, uses: int) -> None:
        self.codes.append((name, run(self.site.code(name, uses=uses))))

    @rule(name=names)
    def come_a_long_way(self, name: str) -> None:
        """Do what a good device does, with keys of its own."""
        self._send(by_code(name, run(self.site.code(name))))
        if self.hands:
            self._send(by_certificate(self.hands[-1], subject=a_name(name)))

    @precondition(lambda self: self.codes)
    @rule(pick=picks, key=keys)
    def enroll_by_code(self, pick: int, key: Key) -> None:
        name, code = self.codes[pick % len(self.codes)]
        self._send(by_code(name, code, key=key))

    @precondition(lambda self: self.codes)
    @rule(pick=picks, name=names, key=keys, subject=subjects)
    def misuse_a_code(self, pick: int, name: str, key: Key, subject: str) -> None:
        _, code = self.codes[pick % len(self.codes)]
        self._send(by_code(name, code, key=key, subject=a_name(subject)))

    @precondition(lambda self: self.hands)
    @rule(pick=picks, key=keys, slot=st.sampled_from(SLOTS))
    def enroll_by_certificate(self, pick: int, key: Key, slot: str) -> None:
        held = self.hands[pick % len(self.hands)]
        self._send(by_certificate(held, slot, key=key, subject=held.certificate.subject))

    @precondition(lambda self: self.hands)
    @rule(pick=picks, key=keys)
    def renew(self, pick: int, key: Key) -> None:
        self._send(renewal(self.hands[pick % len(self.hands)], key=key))

    @precondition(lambda self: self.hands)
    @rule(key=keys)
    def use_the_newest(self, key: Key) -> None:
        self._send(renewal(self.hands[-1], key=key))

    @precondition(lambda self: self.asks)
    @rule(pick=picks)
    def repeat(self, pick: int) -> None:
        self._send(self.asks[pick % len(self.asks)])

    @rule(name=names)
    def lose_what_is_being_replaced(self, name: str) -> None:
        self.come_a_long_way(name)
        if len(self.hands) > 1:
            self._send(renewal(self.hands[-1]))
            self.revoke(len(self.hands) - 2, RevocationReason.SUPERSEDED)
            self.time_passes(WAITS[1])
            self.settle()

    @rule(name=names)
    def disable_one_that_has_certificates(self, name: str) -> None:
        self.come_a_long_way(name)
        self.disable(name)

    @rule(name=names)
    def disable(self, name: str) -> None:
        if self._device(name).status is DeviceStatus.ENABLED:
            run(disable(self.site, name))

    @rule(name=names)
    def enable(self, name: str) -> None:
        if self._device(name).status is DeviceStatus.DISABLED:
            run(enable(self.site, name))

    @rule(name=names)
    def reset(self, name: str) -> None:
        device = self._device(name)
        try:
            _, made = run(self.site.lifecycle.reset(device.device_id, "repair", actor=OPERATOR))
        except Refused:
            assert device.state is DeviceState.ENROLLED
            return
        self.codes.append((name, made.clear))
        assert {each.status for each in self._of(device)} <= {CertificateStatus.REVOKED}

    @precondition(lambda self: self.hands)
    @rule(
        pick=picks,
        reason=st.sampled_from((RevocationReason.SUPERSEDED, RevocationReason.KEY_COMPROMISE)),
    )
    def revoke(self, pick: int, reason: RevocationReason) -> None:
        record = run(self.site.record_of(self.hands[pick % len(self.hands)]))
        try:
            run(self.site.lifecycle.revoke(record, reason, actor=OPERATOR))
        except Refused:
            assert record.status is CertificateStatus.REVOKED
            return
        if reason is RevocationReason.KEY_COMPROMISE:
            self.condemned.add(record.spki_sha256)

    @precondition(lambda self: self.hands)
    @rule(pick=picks)
    def hold(self, pick: int) -> None:
        record = run(self.site.record_of(self.hands[pick % len(self.hands)]))
        try:
            run(self.site.lifecycle.hold(record, actor=OPERATOR))
        except Refused:
            gone = self.site.clock.now() > record.not_valid_after
            stopped = {CertificateStatus.REVOKED, CertificateStatus.ON_HOLD}
            assert gone or record.status in stopped

    @precondition(lambda self: self.hands)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        record = run(self.site.record_of(self.hands[pick % len(self.hands)]))
        device = self._look(lambda uow: uow.devices.by_id(record.device_id or ""))
        assert device is not None
        try:
            run(self.site.lifecycle.release(record, actor=OPERATOR))
        except Refused:
            enabled = device.status is DeviceStatus.ENABLED
            assert record.status is not CertificateStatus.ON_HOLD or not enabled

    @rule(wait=st.sampled_from(WAITS))
    def time_passes(self, wait: timedelta) -> None:
        self.site.clock.advance(wait)

    @rule()
    def settle(self) -> None:
        run(self.site.confirmations.settle())
        again = run(self.site.confirmations.settle())
        assert again == 0, "what is settled stays settled"

    @invariant()
    def states_move_as_the_table_says_and_every_move_is_told_once(self) -> None:
        for name in NAMES:
            state: str | None = None
            for event in self._events(name):
                after = event.facts.get("after")
                if after is not None:
                    assert event.facts.get("before") == state, event
                    assert (state, after) in MOVES, event
                    state = str(after)
            assert state == self._device(name).state

    @invariant()
    def a_slot_holds_one_certificate_and_one_that_waits(self) -> None:
        live = [each for each in self._certificates() if each.is_live]
        filled = Counter((each.device_id, each.profile) for each in live if each.confirmed_at)
        waiting = Counter((each.device_id, each.profile) for each in live if not each.confirmed_at)
        assert max(filled.values(), default=0) <= 1
        assert max(waiting.values(), default=0) <= 1

    @invariant()
    def provisioned_is_who_has_what_is_required(self) -> None:
        for name in NAMES:
            device = self._device(name)
            has_it = any(
                each.profile == REQUIRED and each.is_live and each.confirmed_at
                for each in self._of(device)
            )
            assert (device.state is DeviceState.PROVISIONED) == has_it
            if device.state is DeviceState.ENROLLED:
                assert not any(each.is_live for each in self._of(device))

    @invariant()
    def a_key_belongs_to_one_device(self) -> None:
        owners: dict[str, set[str | None]] = {}
        for each in self._certificates():
            owners.setdefault(each.spki_sha256, set()).add(each.device_id)
        assert all(len(each) == 1 for each in owners.values())

    @invariant()
    def no_code_is_used_too_often(self) -> None:
        for name in NAMES:
            device_id = self._device(name).device_id
            codes = self._codes(device_id)
            told = Counter(
                event.facts["code"]
                for event in self._events(name)
                if event.name is EventName.CODE_USED
            )
            for code in codes:
                assert code.uses <= code.max_uses
                assert told[code.code_id] == code.uses

    @invariant()
    def no_certificate_comes_back(self) -> None:
        now = {each.fingerprint: each for each in self._certificates()}
        assert set(now) >= set(self.before)
        for fingerprint, was in self.before.items():
            status = now[fingerprint].status
            if was.status is FINAL:
                assert status is FINAL
            if was.superseded_at is not None:
                assert status in AFTER_SUPERSEDED
        self.before = now

    def _send(self, ask: Ask) -> None:
        self.site.clock.advance(timedelta(seconds=1))
        devices = {name: self._device(name) for name in NAMES}
        earlier = run(self.site.attempts())
        known = {each.fingerprint: each for each in self._certificates()}

        result = run(self.site.send(ask))

        self.asks.append(ask)
        newest, *others = run(self.site.attempts())
        assert others == earlier
        assert newest.outcome is not Outcome.FAILED, newest
        if not isinstance(result, Issued):
            assert len(self._certificates()) == len(known)
            return
        if result.repeated:
            assert known[result.record.fingerprint].der == result.record.der
        else:
            assert result.record.fingerprint not in known
            assert result.record.spki_sha256 not in self.condemned
            self.hands.append(Held(der=result.record.der, key=ask.key))
        (device,) = [each for each in devices.values() if each.device_id == result.record.device_id]
        assert device.status is DeviceStatus.ENABLED
        _check_names(result.record, device)

    def _device(self, name: str) -> Device:
        return run(self.site.device(name))

    def _events(self, name: str) -> Sequence[EnrollmentEvent]:
        return run(self.site.events(name))

    def _of(self, device: Device) -> list[CertificateRecord]:
        return [each for each in self._certificates() if each.device_id == device.device_id]

    def _codes(self, device_id: str) -> Sequence[OneTimeCode]:
        return self._look(lambda uow: uow.codes.of_device(device_id))

    def _certificates(self) -> Sequence[CertificateRecord]:
        return self._look(lambda uow: uow.certificates.list())

    def _look(self, read: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return run(look(self.site.registry, read))


def _check_names(record: CertificateRecord, device: Device) -> None:
    """Whatever was asked for, the names are the registry's."""
    certificate = record.certificate
    subject = [(each.oid, each.value) for each in certificate.subject]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert subject == [(NameOID.COMMON_NAME, device.name)]
    assert [each.value for each in names] == [f"urn:uuid:{device.device_id}"]


TestLifeOfDevices = LifeOfDevices.TestCase
TestLifeOfDevices.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
