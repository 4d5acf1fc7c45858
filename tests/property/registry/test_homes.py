"""The registry in memory and on SQLite, driven side by side, do and tell the same."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.device import Device, IdentityKind
from enroll.events import Outcome
from enroll.failures import AlreadyTaken, ConcurrentChange, RegistryUnavailable
from enroll.orders import OrderKind, OrderState
from enroll.ports import Registry, UnitOfWork
from enroll.profiles import GroupStatus
from registry.memory import MemoryRegistry
from registry.unit_of_work import SQLRegistry
from tests.support.builders import (
    GROUP,
    TENANT,
    a_certificate_profile,
    a_certificate_record,
    a_code,
    a_decryption_key,
    a_device,
    a_group,
    a_hash,
    a_policy,
    a_revocation_list,
    a_tenant,
    an_access_key,
    an_attempt,
    an_enrollment_profile,
    an_event,
    an_id,
    an_identity,
    an_order,
    stage_policy,
)
from tests.support.fakes import START
from tests.support.registries import make_database, open_sqlite, store

HOUR = timedelta(hours=1)
OTHER = a_tenant("other")
OTHER_GROUP = a_group("others", tenant_id=OTHER.tenant_id)
NAMES = st.sampled_from(["pump-1", "pump-2", "pump-3"])
NUMBERS = st.integers(1, 4)
TIMES = st.integers(0, 6).map(lambda hours: START + hours * HOUR)
KEYS = NUMBERS.map(lambda number: a_hash(f"key {number}"))
IDENTITIES = st.lists(
    st.sampled_from(["SN-1", "SN-2", "pump-1"]).map(lambda value: an_identity(value=value))
    | NUMBERS.map(lambda number: an_identity(IdentityKind.SPKI_SHA256, f"{number:064x}")),
    max_size=3,
).map(tuple)


def tenants_device(tenant: str, name: str, **changes: object) -> Device:
    """Make a device whose id says its tenant and name: none is there twice under another name."""
    group = GROUP if tenant == TENANT else OTHER_GROUP.group_id
    made = a_device(name, device_id=an_id(f"{tenant} {name}"), tenant_id=tenant, group_id=group)
    return replace(made, **changes)  # type: ignore[arg-type]  # the changes are a test's own


DEVICES = st.builds(tenants_device, st.sampled_from([TENANT, OTHER.tenant_id]), NAMES)
DEVICE_IDS = DEVICES.map(lambda device: device.device_id)


@dataclass(frozen=True, slots=True)
class Act:
    """Something to stage, with words that say what."""

    words: str
    stage: Callable[[UnitOfWork], None]

    def __repr__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Look:
    """Something to read, with words that say what."""

    words: str
    read: Callable[[UnitOfWork], Awaitable[object]]
    is_ordered: bool = False

    def __repr__(self) -> str:
        return self.words


@st.composite
def device_acts(draw: st.DrawFn) -> Act:
    device = replace(draw(DEVICES), identities=draw(IDENTITIES), version=draw(st.integers(1, 4)))
    if draw(st.booleans()):
        first = replace(device, version=1)
        return Act(f"add {device.name} {device.identities}", lambda uow: uow.devices.add(first))
    return Act(
        f"save {device.name} v{device.version} {device.identities}",
        lambda uow: uow.devices.save(device),
    )


@st.composite
def key_acts(draw: st.DrawFn) -> Act:
    key, device_id = draw(KEYS), draw(DEVICE_IDS)
    if draw(st.integers(0, 4)) == 0:
        return Act(f"condemn {key[:6]}", lambda uow: uow.keys.condemn(key, START))
    return Act(
        f"claim {key[:6]} for {device_id[:6]}", lambda uow: uow.keys.claim(key, device_id, START)
    )


@st.composite
def certificate_acts(draw: st.DrawFn) -> Act:
    number, was = draw(NUMBERS), draw(st.sampled_from(CertificateStatus))
    record = a_certificate_record(
        number,
        device_id=draw(DEVICE_IDS | st.none()),
        serial_number=f"{draw(NUMBERS):x}",
        issued_at=draw(TIMES),
        status=draw(st.sampled_from(CertificateStatus)),
        superseded_at=draw(TIMES),
        not_valid_after=draw(TIMES),
        revoked_at=draw(TIMES),
        revocation_reason=draw(st.sampled_from(RevocationReason)),
    )
    if draw(st.booleans()):
        words = f"add certificate {number} ({record.serial_number}, {record.status})"
        return Act(words, lambda uow: uow.certificates.add(record))
    before = replace(record, status=was)
    return Act(
        f"save certificate {number} {was} to {record.status}",
        lambda uow: uow.certificates.save(record, was=before),
    )


@st.composite
def code_acts(draw: st.DrawFn) -> Act:
    number, uses, at = draw(NUMBERS), draw(st.integers(0, 2)), draw(TIMES)
    code = a_code(
        number, device_id=draw(DEVICE_IDS), max_uses=draw(st.integers(1, 2)), expires_at=draw(TIMES)
    )
    match draw(st.sampled_from(["add", "consume", "revoke"])):
        case "add":
            return Act(f"add code {number}", lambda uow: uow.codes.add(code))
        case "revoke":
            return Act(f"revoke code {number}", lambda uow: uow.codes.revoke(code, at))
        case _:
            read = replace(code, uses=uses)
            words = f"consume code {number} of {uses} at {at}"
            return Act(words, lambda uow: uow.codes.consume(read, at))


@st.composite
def decryption_key_acts(draw: st.DrawFn) -> Act:
    number, device_id = draw(NUMBERS), draw(DEVICE_IDS)
    key = a_decryption_key(number, device_id=device_id)
    acts = [
        Act(f"add decryption key {number}", lambda uow: uow.decryption_keys.add(key)),
        Act(f"remove decryption key {number}", lambda uow: uow.decryption_keys.remove(key)),
    ]
    return draw(st.sampled_from(acts))


@st.composite
def order_acts(draw: st.DrawFn) -> Act:
    number, state, at = draw(NUMBERS), draw(st.sampled_from(OrderState)), draw(TIMES)
    of_a_device = draw(st.booleans())
    order = an_order(
        number,
        device_id=draw(DEVICE_IDS),
        kind=OrderKind.DEVICE if of_a_device else OrderKind.CERTIFICATE,
        profile=None if of_a_device else draw(st.sampled_from(["bootstrap", "operational"])),
        state=state,
        reference=draw(st.sampled_from([None, "t-1", "t-2"])),
        requested_at=draw(TIMES),
        expires_at=draw(TIMES),
        decided_at=draw(TIMES | st.none()),
        version=draw(st.integers(1, 2)),
    )
    acts = [
        Act(f"open order {number} {state}", lambda uow: uow.orders.add(order)),
        Act(f"save order {number} {state}", lambda uow: uow.orders.save(order)),
        Act(f"prune orders before {at}", lambda uow: uow.orders.prune(at)),
    ]
    return draw(st.sampled_from(acts))


@st.composite
def record_acts(draw: st.DrawFn) -> Act:
    """Attempts, events, revocation lists and access keys."""
    number, at, device_id = draw(NUMBERS), draw(TIMES), draw(DEVICE_IDS)
    outcome = draw(st.sampled_from(Outcome))
    acts = [
        Act(
            f"attempt {number} {outcome} at {at}",
            lambda uow: uow.attempts.add(an_attempt(number, outcome=outcome, occurred_at=at)),
        ),
        Act(
            f"prune before {at} to {number}",
            lambda uow: uow.attempts.prune(before=at, keep=number),
        ),
        Act(
            f"event at {at}",
            lambda uow: uow.events.append(
                an_event(device_id=device_id, occurred_at=at, facts={"number": number})
            ),
        ),
        Act(f"list {number}", lambda uow: uow.crls.add(a_revocation_list(number))),
        Act(
            f"access key {number}",
            lambda uow: uow.access_keys.add(an_access_key(key_id=f"k{number}")),
        ),
    ]
    return draw(st.sampled_from(acts))


@st.composite
def policy_acts(draw: st.DrawFn) -> Act:
    number = draw(NUMBERS)
    tenant_id = draw(st.sampled_from([TENANT, OTHER.tenant_id, "nobody"]))
    group = a_group(
        f"group-{number}",
        tenant_id=tenant_id,
        group_id=an_id(f"group {draw(NUMBERS)}"),
        status=draw(st.sampled_from(GroupStatus)),
    )
    profile = an_enrollment_profile(f"slug-{number}", tenant_id=tenant_id)
    certificate = a_certificate_profile(f"p-{number}", tenant_id=tenant_id, version=draw(NUMBERS))
    version = draw(st.integers(6, 14))
    acts = [
        Act(f"put {group.name} {group.group_id[:6]}", lambda uow: uow.policy.put_group(group)),
        Act(f"put {profile.slug}", lambda uow: uow.policy.put_enrollment_profile(profile)),
        Act(f"put {certificate}", lambda uow: uow.policy.put_certificate_profile(certificate)),
        Act(f"expect {version}", lambda uow: uow.policy.expect(version)),
    ]
    return draw(st.sampled_from(acts))


ACTS = st.one_of(
    device_acts(),
    key_acts(),
    certificate_acts(),
    code_acts(),
    decryption_key_acts(),
    order_acts(),
    record_acts(),
    policy_acts(),
)


def looks() -> list[Look]:
    """Give every read there is, of everything that an act may have changed."""
    devices = [
        tenants_device(each, f"pump-{n}") for each in (TENANT, OTHER.tenant_id) for n in (1, 2, 3)
    ]
    found = [
        Look("devices", lambda uow: uow.devices.list(TENANT), is_ordered=True),
        Look("all devices", lambda uow: uow.devices.list()),
        Look("certificates", lambda uow: uow.certificates.list()),
        Look("last issuance", lambda uow: uow.certificates.last_issued_at()),
        Look("waiting", lambda uow: uow.certificates.pending_since(START + 3 * HOUR)),
        Look(
            "retiring",
            lambda uow: uow.certificates.superseded_before("bootstrap", START + 3 * HOUR),
        ),
        Look(
            "revoked",
            lambda uow: uow.certificates.revoked("issuing", START + 2 * HOUR),
            is_ordered=True,
        ),
        Look("orders", lambda uow: uow.orders.list(), is_ordered=True),
        Look("pending orders", lambda uow: uow.orders.list(pending_only=True), is_ordered=True),
        Look("count of orders", lambda uow: uow.orders.count_pending()),
        Look("overdue orders", lambda uow: uow.orders.overdue(START + 2 * HOUR), is_ordered=True),
        Look("by reference", lambda uow: uow.orders.by_reference("t-1"), is_ordered=True),
        Look("attempts", lambda uow: uow.attempts.list(), is_ordered=True),
        Look(
            "denied",
            lambda uow: uow.attempts.list(denied_only=True, since=START + 2 * HOUR, limit=2),
            is_ordered=True,
        ),
        Look("policy", lambda uow: uow.policy.snapshot()),
        Look("list", lambda uow: uow.crls.latest("issuing")),
        Look("revocations", lambda uow: uow.crls.version()),
    ]
    for device in devices:
        found += looks_at(device)
    for number in range(1, 5):
        found += looks_by(number)
    return found


def looks_at(device: Device) -> list[Look]:
    device_id, tenant, name = device.device_id, device.tenant_id, device.name
    names = [name, "SN-1"]
    shown = [an_identity(value="SN-1"), an_identity(IdentityKind.SPKI_SHA256, f"{1:064x}")]
    return [
        Look(f"{name}", lambda uow: uow.devices.by_id(device_id)),
        Look(f"{name} by name", lambda uow: uow.devices.by_reference(tenant, name)),
        Look("named by", lambda uow: uow.devices.named_by(tenant, names, shown)),
        Look(f"live of {name}", lambda uow: uow.certificates.live_of(device_id)),
        Look(f"all of {name}", lambda uow: uow.certificates.of_device(device_id), is_ordered=True),
        Look(f"codes of {name}", lambda uow: uow.codes.of_device(device_id)),
        Look(
            f"decryption keys of {name}",
            lambda uow: uow.decryption_keys.of_device(device_id),
            is_ordered=True,
        ),
        Look(f"decryption key of {name}", lambda uow: uow.decryption_keys.find(device_id, "01")),
        Look(f"orders of {name}", lambda uow: uow.orders.open_of(device_id), is_ordered=True),
        Look(
            f"slot of {name}",
            lambda uow: uow.orders.in_slot(device_id, "bootstrap"),
            is_ordered=True,
        ),
        Look(
            f"application of {name}",
            lambda uow: uow.orders.in_slot(device_id, None),
            is_ordered=True,
        ),
        Look(f"events of {name}", lambda uow: uow.events.of_device(device_id), is_ordered=True),
    ]


def looks_by(number: int) -> list[Look]:
    key, fingerprint = a_hash(f"key {number}"), a_certificate_record(number).fingerprint
    return [
        Look(f"key {number}", lambda uow: uow.keys.find(key)),
        Look(f"SN-{number}", lambda uow: uow.devices.by_reference(TENANT, f"SN-{number}")),
        Look(f"certificate {number}", lambda uow: uow.certificates.by_fingerprint(fingerprint)),
        Look(f"number {number}", lambda uow: uow.certificates.by_serial(f"{number:x}")),
        Look(f"access key {number}", lambda uow: uow.access_keys.by_id(f"k{number}")),
    ]


LOOKS = looks()


def comparable(found: object, look: Look) -> object:
    """Give what was read, without an order that nobody promised."""
    if isinstance(found, Sequence) and not look.is_ordered:
        return sorted(map(repr, found))
    return found


Pair = tuple[UnitOfWork, UnitOfWork]


class Homes(RuleBasedStateMachine):
    """Opens units of work in both homes, and does the same in each."""

    units = Bundle("units")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - no disk is waited for
        self.folder = Path(tempfile.mkdtemp(dir=memory))
        self.memory: Registry = MemoryRegistry()
        self.sqlite: SQLRegistry = open_sqlite(make_database(self.folder / "registry.db"))
        self.changed = True

    def teardown(self) -> None:
        self.runner.run(self.sqlite.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    @initialize()
    def prepare(self) -> None:
        policy = a_policy(OTHER, OTHER_GROUP)
        for registry in (self.memory, self.sqlite):
            self.runner.run(store(registry, lambda uow: stage_policy(uow, policy)))

    @rule(target=units)
    def begin(self) -> Pair:
        return self._open()

    @rule(units=units, acts=st.lists(ACTS, min_size=1, max_size=3))
    def stage(self, units: Pair, acts: list[Act]) -> None:
        for uow in units:
            for act in acts:
                act.stage(uow)

    @rule(units=units, look=st.sampled_from(LOOKS))
    def read(self, units: Pair, look: Look) -> None:
        in_memory, in_sqlite = (self.runner.run(self._read(uow, look)) for uow in units)

        assert in_memory == in_sqlite

    @rule(units=consumes(units))
    def commit(self, units: Pair) -> None:
        self._commit(units)

    @rule(acts=st.lists(ACTS, min_size=1, max_size=3))
    def do(self, acts: list[Act]) -> None:
        """Do something in a unit of its own, while others are open."""
        units = self._open()
        for uow in units:
            for act in acts:
                act.stage(uow)
        self._commit(units)

    @rule(units=consumes(units))
    def leave(self, units: Pair) -> None:
        for uow in units:
            self.runner.run(uow.__aexit__(None, None, None))
        self.changed = True

    @invariant()
    def both_hold_the_same(self) -> None:
        if not self.changed:
            return
        self.changed = False
        in_memory, in_sqlite = (
            self.runner.run(self._read_all(each)) for each in (self.memory, self.sqlite)
        )
        for look, one, other in zip(LOOKS, in_memory, in_sqlite, strict=True):
            assert one == other, look

    def _open(self) -> Pair:
        return self.memory.unit_of_work(), self.sqlite.unit_of_work()

    def _commit(self, units: Pair) -> None:
        in_memory, in_sqlite = (self.runner.run(_outcome(uow)) for uow in units)
        self.changed = True

        assert in_memory == in_sqlite

    async def _read(self, uow: UnitOfWork, look: Look) -> object:
        return comparable(await look.read(uow), look)

    async def _read_all(self, registry: Registry) -> list[object]:
        async with registry.unit_of_work() as uow:
            return [await self._read(uow, look) for look in LOOKS]


async def _outcome(uow: UnitOfWork) -> object:
    """Commit and leave, and tell how that ended."""
    async with uow:
        try:
            await uow.commit()
        except AlreadyTaken as taken:
            return taken.what, taken.value
        except (ConcurrentChange, RegistryUnavailable) as error:
            return type(error)
    return "committed"


TestHomes = Homes.TestCase
TestHomes.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
