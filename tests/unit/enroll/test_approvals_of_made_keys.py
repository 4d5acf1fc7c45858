"""Keys made by the server for requests that a person decides on."""

from dataclasses import replace

from enroll.events import Outcome
from enroll.orders import OrderState
from enroll.profiles import PolicySnapshot
from tests.support.approvals import a_manual_group, approve, reject
from tests.support.csr import raw_csr
from tests.support.enrollment import open_site
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
