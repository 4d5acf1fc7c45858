"""Keys made by the server for requests that a person decides on."""

from dataclasses import replace
from datetime import timedelta

from enroll.credentials import CredentialKind
from enroll.events import Outcome
from enroll.group_secrets import GroupSecrets, SecretTerms
from enroll.orders import OrderState
from enroll.profiles import PolicySnapshot
from tests.support.approvals import a_manual_group, approve, reject
from tests.support.csr import raw_csr
from tests.support.enrollment import OPERATOR, Ask, Site, open_site
from tests.support.key_generation import (
    Answer,
    ask_for_key,
    first,
    key_policy,
    to_shared_key,
)


def policy() -> PolicySnapshot:
    group = a_manual_group()
    return replace(key_policy(), groups={group.group_id: group})


def shared_policy() -> PolicySnapshot:
    """Let the bootstrap profile also take what the whole group knows."""
    before = policy()
    taken = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.GROUP_SECRET})
    profile = replace(before.enrollment_profiles["bootstrap"], initial_credentials=taken)
    profiles = {**before.enrollment_profiles, profile.slug: profile}
    return replace(before, enrollment_profiles=profiles)


async def by_group_secret(site: Site, ask: Ask) -> Ask:
    """Ask for the same as another member of the group, who knows no more than its secret."""
    secrets = GroupSecrets(site.registry, site.vault, site.clock, site.randomness)
    device = await site.device()
    made = await secrets.add(
        device.group_id, SecretTerms(lifetime=timedelta(days=90)), actor=OPERATOR
    )
    return replace(ask, code=made.clear)


async def test_est_E4_no_key_is_made_while_its_request_waits() -> None:
    site = await open_site(policy())
    ask = await first(site)
    csr = raw_csr(subject=ask.subject.public_bytes())

    waiting = await ask_for_key(site, ask, csr=csr)
    again = await ask_for_key(site, ask, csr=csr)

    assert (waiting.status, again.status) == (202, 202)
    assert (waiting.body, again.body) == (b"", b"")
    (order,) = await site.orders()
    assert order.state is OrderState.PENDING
    assert await site.certificates() == []
    assert {each.outcome for each in await site.attempts()} == {Outcome.PENDING}


async def test_est_E4_a_key_is_made_when_its_request_was_approved_and_told_once() -> None:
    site = await open_site(policy())
    ask = await first(site)
    csr = raw_csr(subject=ask.subject.public_bytes())
    await ask_for_key(site, ask, csr=csr)
    await approve(site)

    given = await ask_for_key(site, ask, csr=csr)
    again = await ask_for_key(site, ask, csr=csr)

    Answer.of(given).check_plain()
    assert again.status == 401
    (order,) = await site.orders()
    (record,) = await site.certificates()
    assert (order.state, order.fingerprint) == (OrderState.ISSUED, record.fingerprint)


async def test_est_E4_no_key_is_made_for_a_rejected_request() -> None:
    site = await open_site(policy())
    ask = await first(site)
    csr = raw_csr(subject=ask.subject.public_bytes())
    await ask_for_key(site, ask, csr=csr)
    await reject(site)

    refused = await ask_for_key(site, ask, csr=csr)

    assert refused.status == 403
    assert await site.certificates() == []


async def test_est_E4_what_could_never_be_encrypted_as_wished_does_not_wait() -> None:
    site = await open_site(policy())
    ask = await first(site)

    refused = await ask_for_key(site, ask, to_shared_key(b"\x0a\x0b"))

    assert refused.status == 400
    assert (await site.attempts())[0].finding == "recipient_unknown"
    assert await site.orders() == []


async def test_est_E4_an_approved_key_of_its_own_lets_nobody_have_one_made() -> None:
    site = await open_site(shared_policy())
    ask = await first(site)
    await site.wait(ask)
    await approve(site)
    seen = raw_csr(key=ask.key, subject=ask.subject.public_bytes(), signature=b"forged")

    refused = await ask_for_key(site, await by_group_secret(site, ask), csr=seen)

    assert refused.status == 409
    assert (await site.attempts())[0].finding == "order_of_another_key"
    assert await site.certificates() == []
    await site.obtain(ask)


async def test_est_E4_a_made_key_that_was_approved_lets_nobody_bring_one() -> None:
    site = await open_site(shared_policy())
    ask = await first(site)
    await ask_for_key(site, ask, csr=ask.csr)
    await approve(site)

    refused = await site.be_refused(ask)

    assert refused.finding == "order_of_another_key"
    assert await site.certificates() == []


async def test_est_E4_a_made_key_goes_to_the_credential_that_waited_for_it() -> None:
    site = await open_site(shared_policy())
    ask = await first(site)
    await ask_for_key(site, ask, csr=ask.csr)
    await approve(site)

    refused = await ask_for_key(site, await by_group_secret(site, ask), csr=ask.csr)
    given = await ask_for_key(site, ask, csr=ask.csr)

    assert refused.status == 409
    Answer.of(given).check_plain()
