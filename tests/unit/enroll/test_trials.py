"""Secrets tried with a MAC: how many, where, and how often."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.codes import DERIVED_CODES_TRIED
from enroll.credentials import CredentialKind, SharedSecretMAC
from enroll.failures import AuthorityUnavailable, FailureReason
from enroll.profiles import Approval
from enroll.request import EnrollmentRequest, Inquiry
from enroll.result import Issued, Rejected
from enroll.shared_secrets import PASSCODES_TRIED, SECRETS_TRIED
from enroll.trials import ROUNDS_AT_ONCE
from protocols.cmp.messages import BodyType
from tests.support.builders import a_group, a_policy, an_enrollment_profile
from tests.support.cmp import integer, pbm
from tests.support.cmp_conversation import Client, by_secret
from tests.support.csr import sequence
from tests.support.enrollment import Site, by_code, open_site

DEAR = ROUNDS_AT_ONCE


class CountingRegistry:
    """A registry that knows how many of its units of work are open."""

    def __init__(self, site: Site) -> None:
        self.inner = site.registry
        self.open = 0

    def unit_of_work(self) -> object:
        return CountedUnit(self, self.inner.unit_of_work())


class CountedUnit:
    def __init__(self, registry: CountingRegistry, inner: object) -> None:
        self._registry = registry
        self._inner = inner

    async def __aenter__(self) -> object:
        self._registry.open += 1
        return await self._inner.__aenter__()  # type: ignore[attr-defined]  # a unit of work

    async def __aexit__(self, *exc: object) -> None:
        self._registry.open -= 1
        await self._inner.__aexit__(*exc)  # type: ignore[attr-defined]  # a unit of work


class BusyTrier:
    """Tries nothing: too many wait."""

    async def try_all(self, answer: SharedSecretMAC, secrets: Sequence[str]) -> None:
        del answer, secrets
        raise AuthorityUnavailable("busy", finding="derivations_busy", retry_after=2)


def under_mac(
    site: Site, name: str, matches: Callable[[str], bool], *, rounds: int = DEAR
) -> EnrollmentRequest:
    """Ask under a MAC that takes so much to be tried."""
    mac = SharedSecretMAC(username=name, matches=matches, exact=True, rounds=rounds)
    return replace(site.request(by_code(name, "unused")), credentials=(mac,))


async def a_site_with_secrets() -> Site:
    """Open a site whose devices show codes or a secret of their group."""
    kinds = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET})
    return await open_site(a_policy(an_enrollment_profile("bootstrap", initial_credentials=kinds)))


@pytest.mark.parametrize("rounds", [1, DEAR])
@pytest.mark.parametrize("codes", [None, 0, 1, DERIVED_CODES_TRIED + 2])
async def test_security_P12_a_mac_is_tried_as_often_whatever_it_names(
    codes: int | None, rounds: int
) -> None:
    site = await a_site_with_secrets()
    if codes is not None:
        await site.register()
    for _ in range(codes or 0):
        await site.code()
    tried: list[str] = []

    def matches(secret: str) -> bool:
        tried.append(secret)
        return False

    result = await site.pipeline.handle(under_mac(site, "pump-1", matches, rounds=rounds))

    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.NOT_AUTHENTICATED
    assert len(set(tried)) == len(tried) == (DERIVED_CODES_TRIED + PASSCODES_TRIED + SECRETS_TRIED)


async def test_a_dear_mac_is_tried_by_another_thread_while_no_unit_of_work_is_open() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    registry = CountingRegistry(site)
    site.registry = registry  # type: ignore[assignment]  # as much of one as is asked
    found: list[tuple[int, bool]] = []

    def matches(secret: str) -> bool:
        here = threading.current_thread() is threading.main_thread()
        found.append((registry.open, here))
        return secret == code

    result = await site.new_pipeline().handle(under_mac(site, "pump-1", matches))

    assert isinstance(result, Issued)
    assert found == [(0, False)], "it is the first that is tried"


async def test_a_mac_that_costs_little_is_tried_at_once() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    threads: set[bool] = set()

    def matches(secret: str) -> bool:
        threads.add(threading.current_thread() is threading.main_thread())
        return secret == code

    result = await site.pipeline.handle(under_mac(site, "pump-1", matches, rounds=500))

    assert isinstance(result, Issued)
    assert threads == {True}


async def test_a_message_that_is_decided_anew_derives_nothing_anew() -> None:
    site = await open_site()
    await site.register()
    tried: list[str] = []

    def matches(secret: str) -> bool:
        tried.append(secret)
        return False

    request = under_mac(site, "pump-1", matches)
    for _ in range(3):
        await site.pipeline.handle(request)

    assert len(tried) == DERIVED_CODES_TRIED


async def test_nobody_is_refused_for_good_while_too_many_wait() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    site.secret_trier = BusyTrier()

    result = await site.new_pipeline().handle(
        under_mac(site, "pump-1", lambda secret: secret == code)
    )

    assert isinstance(result, Rejected)
    assert (result.reason, result.finding, result.retry_after) == (
        FailureReason.CA_UNAVAILABLE,
        "derivations_busy",
        2,
    )


async def test_a_question_under_a_dear_mac_is_answered() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    request = under_mac(site, "pump-1", lambda secret: secret == code)

    described = await site.pipeline.inquiries(
        Inquiry(origin=request.origin, credentials=request.credentials)
    )

    assert described.refused is None


async def a_client(site: Site, name: str = "pump-1") -> tuple[Client, str]:
    await site.register(name)
    code = await site.code(name)
    return by_secret(site, name, code), code


async def newer_codes(site: Site) -> None:
    for _ in range(DERIVED_CODES_TRIED + 1):
        site.clock.advance(timedelta(seconds=1))
        await site.code()


async def test_a_certificate_is_confirmed_with_the_code_that_got_it_whatever_codes_came_later() -> (
    None
):
    site = await open_site()
    client, code = await a_client(site)
    await client.ask(by_code("pump-1", code))
    await newer_codes(site)

    answer = await client.confirm()

    assert answer.kind is BodyType.PKICONF


async def test_an_order_is_polled_with_the_code_that_opened_it_whatever_codes_came_later() -> None:
    site = await open_site(a_policy(a_group(approval=Approval.MANUAL)))
    client, code = await a_client(site)
    waiting = await client.ask(by_code("pump-1", code))
    await newer_codes(site)

    answer = await client.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))

    assert waiting.status == 3
    assert answer.kind is BodyType.POLL_REP


async def test_cmp_P2_a_client_may_have_its_key_derived_at_some_length() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    client = by_secret(site, "pump-1", code, algorithm=pbm(iterations=10_000))

    answer = await client.ask(by_code("pump-1", code))

    assert answer.status == 0
    assert isinstance(answer.certificate, bytes)
