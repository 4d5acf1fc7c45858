"""Requests that were caught on their way, and signed anew by whoever caught them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from protocols.scep.failures import REFUSED
from tests.support.approvals import a_manual_group, approve
from tests.support.builders import a_policy
from tests.support.csr import Key, a_key, a_name, sequence
from tests.support.enrollment import Held, Site, new_keys_are_rsa, open_site
from tests.support.fakes import START
from tests.support.scep import (
    CertRep,
    Message,
    a_pkcs_req,
    opened_by,
    printable,
    read_answer,
    self_signed,
    send,
)

KEY, THIEFS_KEY = a_key("rsa-2048"), a_key("rsa-2048", 1)


def a_strangers(key: Key) -> Held:
    """Make a certificate that is not self-signed by its names, under a CA that nobody knows."""
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name("thief"))
        .issuer_name(a_name("CA of the thief"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    return Held(der=certificate.public_bytes(Encoding.DER), key=key)


async def asked(site: Site, message: Message, path: str = "") -> CertRep:
    return read_answer(await send(site, message.encode(), path))


@pytest.mark.parametrize("kind", [17, 19])
async def test_scep_20_and_22_a_stranger_gets_no_answer_to_the_request_of_another(
    kind: int,
) -> None:
    site = await open_site()
    await site.register()
    good = a_pkcs_req(KEY, await site.code())

    reply = await asked(site, replace(good, signer=a_strangers(THIEFS_KEY), kind=kind))

    assert (reply.status, reply.fail_info, reply.text) == ("2", "2", REFUSED)
    assert (await site.attempts())[0].finding == "signer_key_mismatch"
    assert await site.certificates() == []
    assert (await asked(site, good)).status == "0"


async def test_scep_26_a_stranger_does_not_take_over_the_transaction_that_waits() -> None:
    site = await open_site(a_policy(a_manual_group()))
    await site.register()
    good = a_pkcs_req(KEY, await site.code())
    await asked(site, good)
    stolen = replace(good, signer=a_strangers(THIEFS_KEY), transaction_id=printable("another"))

    refused = await asked(site, stolen)
    await approve(site)
    subjects = sequence(a_name("CA").public_bytes(), a_name().public_bytes())
    polled = await asked(site, replace(good, content=subjects, kind=20))

    assert (refused.status, refused.text) == ("2", REFUSED)
    assert polled.status == "0"


async def test_scep_22_another_device_gets_no_answer_to_the_request_of_this_one() -> None:
    with new_keys_are_rsa():
        site = await open_site()
        other = await site.enroll("pump-2")
        await site.register()
        good = a_pkcs_req(KEY, await site.code())

    for kind in (17, 19):
        reply = await asked(site, replace(good, signer=other, kind=kind))

        assert (reply.status, reply.fail_info) == ("2", "2")
    assert await site.certificates() == []


async def test_a_certificate_of_the_requests_own_key_may_be_anybodys_beside_a_code() -> None:
    site = await open_site()
    await site.register()
    signer = a_strangers(KEY)

    reply = await asked(site, replace(a_pkcs_req(KEY, await site.code()), signer=signer))

    (sent,) = opened_by(reply, signer)
    assert sent.public_key() == KEY.public_key()
    assert signer.certificate.public_bytes(Encoding.DER) != self_signed(KEY).der
