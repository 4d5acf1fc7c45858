"""Whoever a profile names outside has a say before anything is issued."""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Self

from cryptography import x509

from enroll.credentials import CredentialKind
from enroll.events import EventName, Outcome
from enroll.failures import AuthorityUnavailable, FailureReason
from enroll.orders import OrderState
from enroll.profiles import KeyAlgorithm, PolicySnapshot, ProtocolName
from enroll.request import Operation
from enroll.result import Issued, Pending, Rejected
from enroll.ruling import Ruling
from registry.memory import MemoryRegistry
from registry.memory.tables import Tables
from registry.memory.unit_of_work import MemoryUnitOfWork
from tests.support import arrangements
from tests.support.approvals import a_manual_group, approve
from tests.support.builders import (
    a_certificate_profile,
    a_group,
    a_policy,
)
from tests.support.csr import a_name, raw_csr
from tests.support.enrollment import (
    PEER,
    Ask,
    Site,
    a_new_key,
    by_code,
    open_site,
    renewal,
)
from tests.support.interruptions import InterruptedRegistry, another_commit_came_first
from tests.support.key_generation import ask_for_key, first, key_policy
from tests.support.registries import store

SITE_IN_NAMES = (("CN", "{name}"), ("OU", "{attribute.site}"))
DENIED = Ruling(allowed=False, reason="not in the inventory")
AWAY = AuthorityUnavailable("nobody answers", finding="webhook_unavailable", retry_after=10)


class WatchedRegistry(MemoryRegistry):
    """Counts the units of work that are open, and the most that ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self.most = 0

    def unit_of_work(self) -> MemoryUnitOfWork:
        return _WatchedUnit(super().unit_of_work().tables, self)


class _WatchedUnit(MemoryUnitOfWork):
    def __init__(self, tables: Tables, registry: WatchedRegistry) -> None:
        super().__init__(tables)
        self._registry = registry

    async def __aenter__(self) -> Self:
        self._registry.open += 1
        self._registry.most = max(self._registry.most, self._registry.open)
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._registry.open -= 1
        await super().__aexit__(exc_type, exc, traceback)


def asking(policy: PolicySnapshot | None = None) -> PolicySnapshot:
    """Let the bootstrap profile ask, and write the device's site into its subject."""
    known = policy or a_policy()
    profile = known.enrollment_profiles["bootstrap"]
    template = a_certificate_profile(profile.certificate_profile, subject=SITE_IN_NAMES)
    return replace(
        known,
        enrollment_profiles={
            **known.enrollment_profiles,
            "bootstrap": replace(profile, decision_webhook="inventory"),
        },
        certificate_profiles={
            **known.certificate_profiles,
            (template.tenant_id, template.name): template,
        },
    )


def held_for_people() -> PolicySnapshot:
    group = a_manual_group()
    return replace(asking(), groups={group.group_id: group})


async def answered(ruling: Ruling | AuthorityUnavailable, **options: object) -> tuple[Site, Ask]:
    """Open a site whose webhook answers this, with a device that is about to enroll."""
    site = await open_site(asking(), **options)  # type: ignore[arg-type]  # a test's words
    site.decision_maker.ruling = ruling
    return site, await arrangements.first_enrollment(site)


async def test_lifecycle_SM12_what_is_denied_is_refused_and_told_in_the_history() -> None:
    site, ask = await answered(DENIED)

    refused = await site.be_refused(ask)

    assert (refused.reason, refused.finding) == (FailureReason.NOT_AUTHORIZED, "webhook_denied")
    assert await site.certificates() == []
    (attempt,) = await site.attempts()
    assert attempt.outcome is Outcome.DENIED
    assert attempt.detail == "webhook 'inventory' denies it: not in the inventory"
    last = attempt.trace[-1]
    assert (last.name, last.passed) == ("webhook", False)
    assert last.note == "inventory: deny (not in the inventory)"
    denied = (await site.events())[-1]
    assert (denied.name, denied.facts["finding"]) == (
        EventName.ENROLLMENT_DENIED,
        "webhook_denied",
    )


async def test_lifecycle_SM12_without_an_answer_nothing_is_issued() -> None:
    site, ask = await answered(AWAY)

    refused = await site.be_refused(ask)

    assert (refused.reason, refused.retry_after) == (FailureReason.CA_UNAVAILABLE, 10)
    assert await site.certificates() == []
    (attempt,) = await site.attempts()
    assert (attempt.outcome, attempt.finding) == (Outcome.FAILED, "webhook_unavailable")
    assert [each.name for each in attempt.trace if not each.passed] == ["webhook"]
    assert attempt.trace[-1].note == "nobody answers"


async def test_a_refusal_for_want_of_an_answer_uses_no_code_up() -> None:
    site, ask = await answered(AWAY)
    await site.be_refused(ask)
    site.decision_maker.ruling = Ruling(allowed=True)

    result = await site.send(ask)

    assert isinstance(result, Issued)


async def test_lifecycle_SM12_what_is_allowed_is_issued_and_the_trace_says_by_whom() -> None:
    site, ask = await answered(Ruling(allowed=True, reason="ticket 7"))

    await site.obtain(ask)

    (attempt,) = await site.attempts()
    names = [each.name for each in attempt.trace]
    assert names.index("authorization") < names.index("webhook") < names.index("plan")
    (said,) = [each.note for each in attempt.trace if each.name == "webhook"]
    assert said == "inventory: allow (ticket 7)"


async def test_the_question_tells_who_asks_for_what_and_no_secret() -> None:
    site = await open_site(asking())
    device = await site.register(serial_number="SN-1", attributes={"owner": "ops"})
    code = await site.code()
    ask = by_code("pump-1", code, names=(x509.DNSName("pump-1.example"),))
    spki = site.request(ask).certificate_request.spki_sha256

    await site.obtain(ask)

    (question,) = site.decision_maker.asked
    assert (question.webhook, question.profile) == ("inventory", "bootstrap")
    assert (question.protocol, question.operation) == (ProtocolName.EST, Operation.INITIAL)
    assert question.device_id == device.device_id
    assert (question.device_name, question.device_serial_number) == ("pump-1", "SN-1")
    assert question.attributes == {"owner": "ops"}
    assert (question.subject, question.names) == ("CN=pump-1", ("dns:pump-1.example",))
    assert (question.spki_sha256, question.key_algorithm) == (spki, KeyAlgorithm.P_256)
    assert question.credential is CredentialKind.ONE_TIME_CODE
    assert (question.peer_address, question.registration_authority) == (PEER, None)
    (attempt,) = await site.attempts()
    assert question.correlation_id == attempt.attempt_id
    assert code not in repr(question)


async def test_profiles_that_name_no_webhook_ask_nobody() -> None:
    site = await open_site()

    await site.enroll()

    assert site.decision_maker.asked == []


async def test_nobody_is_asked_about_what_is_refused_anyway() -> None:
    site = await open_site(asking())
    ask = await arrangements.disabled_with_a_code(site)

    await site.be_refused(ask)

    assert site.decision_maker.asked == []


async def test_lifecycle_T13_a_repetition_is_answered_without_asking_again() -> None:
    site, ask = await answered(Ruling(allowed=True))
    first_answer = await site.obtain(ask)
    site.decision_maker.ruling = DENIED

    again = await site.obtain(ask)

    assert again.der == first_answer.der
    assert len(site.decision_maker.asked) == 1


async def test_a_renewal_is_asked_about_too() -> None:
    site, ask = await answered(Ruling(allowed=True))
    held = await site.obtain(ask)
    site.decision_maker.ruling = DENIED

    refused = await site.be_refused(renewal(held))

    assert refused.finding == "webhook_denied"
    assert site.decision_maker.asked[-1].operation is Operation.RENEWAL


async def test_lifecycle_SM12_what_it_adds_stands_in_registry_certificate_and_history() -> None:
    site, ask = await answered(Ruling(allowed=True, attributes={"site": "plant-7"}))

    held = await site.obtain(ask)

    device = await site.device()
    assert device.attributes == {"site": "plant-7"}
    assert held.certificate.subject.rfc4514_string() == "OU=plant-7,CN=pump-1"
    (changed,) = [
        each for each in await site.events() if each.name is EventName.DEVICE_ATTRIBUTES_CHANGED
    ]
    assert changed.facts == {
        "webhook": "inventory",
        "before": {},
        "after": {"site": "plant-7"},
    }
    (attempt,) = await site.attempts()
    assert "inventory: sets site" in [each.note for each in attempt.trace]


async def test_an_added_attribute_replaces_its_old_value_and_no_other() -> None:
    site = await open_site(asking())
    await site.register(attributes={"site": "plant-1", "owner": "ops"})
    site.decision_maker.ruling = Ruling(allowed=True, attributes={"site": "plant-7"})

    await site.obtain(by_code("pump-1", await site.code()))

    assert (await site.device()).attributes == {"site": "plant-7", "owner": "ops"}
    facts = [each.facts for each in await site.events() if "before" in each.facts]
    assert {
        "webhook": "inventory",
        "before": {"site": "plant-1"},
        "after": {"site": "plant-7"},
    } in (facts)


async def test_what_is_as_it_was_changes_nothing_and_is_no_event() -> None:
    site = await open_site(asking())
    await site.register(attributes={"site": "plant-7"})
    site.decision_maker.ruling = Ruling(allowed=True, attributes={"site": "plant-7"})

    await site.obtain(by_code("pump-1", await site.code()))

    names = [each.name for each in await site.events()]
    assert EventName.DEVICE_ATTRIBUTES_CHANGED not in names


async def test_names_that_an_attribute_makes_impossible_leave_it_unstored() -> None:
    site, ask = await answered(Ruling(allowed=True, attributes={"site": "p" * 65}))

    refused = await site.be_refused(ask)

    assert refused.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert (await site.device()).attributes == {}
    assert await site.certificates() == []


async def test_a_change_of_subject_is_judged_by_the_attributes_that_were_added() -> None:
    site, ask = await answered(Ruling(allowed=True, attributes={"site": "plant-7"}))
    ask = replace(ask, change_subject=a_name("pump-1"))

    refused = await site.be_refused(ask)

    assert (refused.finding, refused.field) == ("name_changed", "subject")
    assert (await site.device()).attributes == {}


async def test_it_is_asked_before_a_person_is_and_not_again_when_that_person_agreed() -> None:
    site = await open_site(held_for_people())
    site.decision_maker.ruling = Ruling(allowed=True, attributes={"site": "plant-7"})
    ask = await arrangements.first_enrollment(site)

    waiting = await site.send(ask)
    again = await site.send(ask)
    while_waiting = (await site.device()).attributes
    await approve(site)
    held = await site.obtain(ask)

    assert isinstance(waiting, Pending)
    assert isinstance(again, Pending)
    assert while_waiting == {"site": "plant-7"}
    assert held.certificate.subject.rfc4514_string() == "OU=plant-7,CN=pump-1"
    assert len(site.decision_maker.asked) == 1
    (order,) = await site.orders()
    assert order.state is OrderState.ISSUED
    told = [each for each in await site.events() if "before" in each.facts]
    assert [each.facts["webhook"] for each in told if "webhook" in each.facts] == ["inventory"]


async def test_what_nobody_has_to_decide_any_more_is_asked_about() -> None:
    site = await open_site(held_for_people())
    ask = await arrangements.first_enrollment(site)
    await site.wait(ask)
    await store(site.registry, lambda uow: uow.policy.put_group(a_group()))
    site.decision_maker.ruling = DENIED

    refused = await site.be_refused(ask)

    assert refused.finding == "webhook_denied"
    assert await site.certificates() == []


async def test_what_is_denied_waits_for_nobody() -> None:
    site = await open_site(held_for_people())
    site.decision_maker.ruling = DENIED
    ask = await arrangements.first_enrollment(site)

    refused = await site.be_refused(ask)

    assert refused.finding == "webhook_denied"
    assert await site.orders() == []


async def test_no_key_is_made_for_what_is_denied() -> None:
    site = await open_site(asking(key_policy()))
    site.decision_maker.ruling = DENIED
    ask = await first(site)
    site.key_generator = None  # type: ignore[assignment]  # it must not be asked
    site.pipeline = site.new_pipeline()

    refused = await ask_for_key(site, ask, csr=raw_csr(subject=ask.subject.public_bytes()))

    assert refused.status == 403


async def test_a_key_made_here_is_asked_about_once_before_there_is_any() -> None:
    site = await open_site(asking(key_policy()))
    ask = await first(site)

    given = await ask_for_key(site, ask, csr=raw_csr(subject=ask.subject.public_bytes()))

    assert given.status == 200
    (question,) = site.decision_maker.asked
    assert (question.spki_sha256, question.key_algorithm) == (None, KeyAlgorithm.P_256)


async def test_no_view_of_the_database_is_held_while_somebody_is_asked() -> None:
    registry = WatchedRegistry()
    site, ask = await answered(Ruling(allowed=True), registry=registry)
    site.decision_maker.until = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        sent = group.create_task(site.send(ask))
        await site.decision_maker.was_asked.wait()
        while_asking = registry.open
        site.decision_maker.until.set()

    assert isinstance(sent.result(), Issued)
    assert while_asking == 0
    assert registry.most == 1


async def test_a_request_that_is_decided_anew_is_not_asked_about_again() -> None:
    registry = InterruptedRegistry()
    site, ask = await answered(Ruling(allowed=True), registry=registry)
    registry.interruptions += [another_commit_came_first] * 3

    await site.obtain(ask)

    assert len(site.decision_maker.asked) == 1


async def test_an_answer_is_good_for_what_was_asked_and_nothing_else() -> None:
    registry = InterruptedRegistry()
    site, ask = await answered(Ruling(allowed=True), registry=registry)

    async def moved_to_another_plant() -> None:
        changed = replace(await site.device(), attributes={"site": "plant-9"})
        await store(site.registry, lambda uow: uow.devices.save(changed))
        site.decision_maker.ruling = DENIED

    registry.interruptions.append(moved_to_another_plant)

    refused = await site.be_refused(ask)

    assert refused.finding == "webhook_denied"
    assert [each.attributes for each in site.decision_maker.asked] == [{}, {"site": "plant-9"}]


async def test_security_E3_a_device_disabled_while_somebody_is_asked_gets_nothing() -> None:
    site, ask = await answered(Ruling(allowed=True))
    site.decision_maker.until = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        sent = group.create_task(site.send(ask))
        await site.decision_maker.was_asked.wait()
        await arrangements.disable(site)
        site.decision_maker.until.set()

    result = sent.result()

    assert isinstance(result, Rejected)
    assert result.finding == "device_disabled"
    assert await site.certificates() == []


async def test_security_E1_one_code_used_by_20_at_once_that_are_all_asked_about() -> None:
    site, ask = await answered(Ruling(allowed=True, attributes={"site": "plant-7"}))
    site.decision_maker.until = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        sent = [group.create_task(site.send(replace(ask, key=a_new_key()))) for _ in range(20)]
        await site.decision_maker.was_asked.wait()
        site.decision_maker.until.set()

    results = [each.result() for each in sent]

    assert sum(isinstance(each, Issued) for each in results) == 1
    assert {each.finding for each in results if isinstance(each, Rejected)} == {"code_reused"}
    assert len(await site.certificates()) == 1
    assert len(site.decision_maker.asked) <= 20
