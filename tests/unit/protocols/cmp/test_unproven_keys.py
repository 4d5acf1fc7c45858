"""A certificate whose key is not proven yet: none but the key's holder gets it, by any door."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pyasn1_alt_modules import rfc9810

from enroll.credentials import SignerCertificate
from enroll.failures import FailureReason
from enroll.profiles import Approval, KeyAlgorithm, ProtocolName
from enroll.request import Acknowledgement, CertificateQuery, PollRequest, RequestOrigin
from enroll.result import Issued, Rejected
from protocols.cmp.messages import BodyType
from tests.support.builders import a_certificate_profile, a_group, a_policy
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Client, by_held, by_secret
from tests.support.cmp_possession import decrypted_rand
from tests.support.cms import holder_of
from tests.support.crmf import a_cert_request, a_crm, a_private_key_message
from tests.support.csr import sequence
from tests.support.enrollment import OPERATOR, PEER, Held, Site, a_new_key, open_site


async def a_site(**group: Any) -> Site:
    every = a_certificate_profile(key_algorithms=frozenset(KeyAlgorithm))
    return await open_site(policy=a_policy(every, a_group(**group)))


async def asked(site: Site, key: Any, method: str = "encrCert") -> Client:
    """Let a device ask for a certificate of a key on P-256, whose possession it has not proven."""
    client = by_secret(site, "pump-1", await site.code())
    client = replace(client, header=replace(client.header, pvno=3), form=rfc9810)
    client.heard = await client.send(BodyType.IR, unproven(key, method))
    return client


def unproven(key: Any, method: str = "challengeResp") -> bytes:
    request = a_cert_request(key, number=0)
    return sequence(a_private_key_message(request, "keyAgreement", content=method))


def origin(site: Site, protocol: ProtocolName = ProtocolName.SCEP) -> RequestOrigin:
    return RequestOrigin(
        correlation_id="c0ffee",
        protocol=protocol,
        operation="poll",
        profile=None,
        peer_address=PEER,
        received_at=site.clock.now(),
    )


@pytest.mark.parametrize("method", ["encrCert", "challengeResp"])
async def test_cmp_O4_its_order_is_told_to_the_holder_of_the_key_alone(method: str) -> None:
    site = await a_site(approval=Approval.MANUAL)
    await site.register()
    client = await asked(site, a_new_key(), method)
    (order,) = await site.orders()
    assert order.wish is not None
    await site.approvals.approve(order.order_id, actor=OPERATOR)
    poll = PollRequest(
        origin=origin(site),
        reference=(client.header.transaction_id or b"").hex(),
        spki_sha256=order.wish.spki_sha256,
        credential_id=order.wish.credential_id,
    )

    by_any = await site.pipeline.poll(poll)
    before = await site.certificates()
    by_holder = await site.pipeline.poll(
        replace(poll, for_holder=True, acknowledgement=Acknowledgement.DUE)
    )

    assert isinstance(by_any, Rejected)
    assert by_any.finding == "order_unknown"
    assert not before
    assert isinstance(by_holder, Issued)


async def test_cmp_O4_what_was_withheld_is_found_by_no_poll_of_others() -> None:
    site = await a_site()
    await site.register()
    client = await asked(site, a_new_key(), "challengeResp")
    (record,) = await site.certificates()
    poll = PollRequest(
        origin=origin(site, ProtocolName.CMP),
        reference=(client.header.transaction_id or b"").hex(),
        credential_id=record.credential_id,
    )

    result = await site.pipeline.poll(poll)
    held = await site.pipeline.poll(replace(poll, for_holder=True))

    assert isinstance(result, Rejected)
    assert isinstance(held, Rejected)  # A credential's id alone proves nothing of a certificate.


@pytest.mark.parametrize("by_its_own_key", [True, False])
async def test_cmp_O4_getcert_does_not_give_it(*, by_its_own_key: bool) -> None:
    site, key = await a_site(), a_new_key()
    held = await site.enroll()
    site.clock.advance(timedelta(minutes=1))
    await asked(site, key)
    record = (await site.certificates())[0]
    shown = holder_of(key).certificate if by_its_own_key else held.certificate

    result = await site.pipeline.retrieve(
        CertificateQuery(
            origin=origin(site),
            issuer=record.certificate.issuer.public_bytes(),
            serial_number=record.serial_number,
            shown=SignerCertificate(chain=(shown,)),
        )
    )

    assert record.awaits_owner
    assert isinstance(result, Rejected)
    assert result.reason is FailureReason.CERTIFICATE_UNKNOWN


async def test_cmp_O4_it_proves_nobody() -> None:
    site, key = await a_site(), a_new_key()
    await site.register()
    await asked(site, key)
    (record,) = await site.certificates()

    answer = await by_held(site, Held(der=record.der, key=key), "operational").send(
        BodyType.CR, sequence(a_crm(number=0))
    )

    assert answer.status == 2
    assert len(await site.certificates()) == 1


async def test_the_challenge_of_one_key_proves_no_other_in_the_same_transaction() -> None:
    site, own, anothers = await a_site(), a_new_key(), a_new_key()
    await site.register()
    first = await asked(site, own, "challengeResp")
    assert first.heard is not None
    number = decrypted_rand(first.heard, own)
    second = by_secret(site, "pump-1", await site.code())
    second = replace(second, header=first.header, form=rfc9810)
    await second.send(BodyType.IR, unproven(anothers))
    second.heard = first.heard  # The nonce and the number of the challenge that could be read.

    answer = await second.send(BodyType.POPDECR, sequence(number))

    assert (answer.kind, answer.status) == (BodyType.ERROR, 2)
    assert answer.fail_info == {FAIL_INFO["badRequest"]}


async def test_what_waits_for_one_key_gives_no_other_in_the_same_transaction() -> None:
    site, own, anothers = await a_site(approval=Approval.MANUAL), a_new_key(), a_new_key()
    await site.register()
    first = await asked(site, own, "challengeResp")
    assert first.heard is not None
    number = decrypted_rand(first.heard, own)
    first.heard = await first.send(BodyType.POPDECR, sequence(number))
    (order,) = await site.orders()
    await site.approvals.reject(order.order_id, actor=OPERATOR, reason="another key")
    site.clock.advance(timedelta(minutes=1))
    second = by_secret(site, "pump-1", await site.code())
    second = replace(second, header=first.header, form=rfc9810)
    challenged = await second.send(BodyType.IR, unproven(anothers))
    waiting = [each for each in await site.orders() if each.order_id != order.order_id]
    await site.approvals.approve(waiting[0].order_id, actor=OPERATOR)
    second.heard = first.heard

    answer = await second.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))

    assert challenged.kind is BodyType.POPDECC
    assert (answer.kind, answer.status) == (BodyType.ERROR, 2)
    assert not await site.certificates()
