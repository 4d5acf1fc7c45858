"""CertPoll, GetCert and GetCRL: who is given what, and who is not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ca.crl import make_crl
from enroll.certificates import RevocationReason
from enroll.device import DeviceState
from enroll.options import SCEPOptions
from tests.support.approvals import a_manual_group, approve, reject
from tests.support.arrangements import put_in_state
from tests.support.builders import a_policy
from tests.support.csr import a_csr, a_key, a_name, sequence
from tests.support.enrollment import (
    OPERATOR,
    Held,
    Site,
    a_new_key,
    an_issuer,
    new_keys_are_rsa,
    open_site,
    renewal,
)
from tests.support.fakes import START
from tests.support.interruptions import InterruptedRegistry, the_database_is_gone
from tests.support.registries import store
from tests.support.scep import (
    CertRep,
    FixedServices,
    Message,
    a_pkcs_req,
    opened_by,
    printable,
    read_answer,
    self_signed,
    send,
)

KEY = a_key("rsa-2048")
OTHER_KEY = a_key("rsa-2048", 1)
SUBJECTS = sequence(a_name("CA").public_bytes(), a_name("pump-1").public_bytes())
UNKNOWN = ("2", "4", "The certificate or transaction is not known.")


@pytest.fixture(autouse=True)
def _rsa() -> Iterator[None]:
    with new_keys_are_rsa():
        yield


def named(certificate: x509.Certificate) -> bytes:
    """Give IssuerAndSerialNumber, put together without the code that reads it."""
    serial = certificate.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1)
    return sequence(certificate.issuer.public_bytes(), b"\x02" + bytes((len(octets),)) + octets)


def poll(signer: Held, transaction: str = "t-1") -> Message:
    return Message(signer=signer, content=SUBJECTS, kind=20, transaction_id=printable(transaction))


def get_cert(signer: Held, wanted: Held) -> Message:
    return Message(signer=signer, content=named(wanted.certificate), kind=21)


def told(reply: CertRep) -> tuple[str, str | None, str | None]:
    return reply.status, reply.fail_info, reply.text


async def asked(site: Site, message: Message, *, services: FixedServices | None = None) -> CertRep:
    return read_answer(await send(site, message.encode(), services=services))


async def a_waiting_site() -> Site:
    """Open a site in which a PKCSReq of KEY waits for a person, as transaction t-1."""
    site = await open_site(a_policy(a_manual_group()))
    await site.register()
    reply = await asked(site, a_pkcs_req(KEY, await site.code()))
    assert reply.status == "3"
    return site


# CertPoll


async def test_scep_25_and_26_a_request_that_waits_is_pending_until_a_person_decides() -> None:
    site = await a_waiting_site()

    waiting = await asked(site, poll(self_signed(KEY)))
    await approve(site)
    issued = await asked(site, poll(self_signed(KEY)))

    assert (waiting.status, waiting.fail_info, waiting.envelope) == ("3", None, None)
    assert issued.status == "0"
    (sent,) = opened_by(issued, self_signed(KEY))
    assert [each.der for each in await site.certificates()] == [sent.public_bytes(Encoding.DER)]


async def test_scep_25_what_a_person_rejects_fails() -> None:
    site = await a_waiting_site()
    await reject(site)

    reply = await asked(site, poll(self_signed(KEY)))

    assert (reply.status, reply.fail_info) == ("2", "2")
    assert await site.certificates() == []


async def test_scep_26_an_unknown_transaction_and_one_of_another_key_are_told_alike() -> None:
    site = await a_waiting_site()
    await approve(site)

    unknown = await asked(site, poll(self_signed(KEY), "t-2"))
    foreign = await asked(site, poll(self_signed(OTHER_KEY)))

    assert told(unknown) == told(foreign) == UNKNOWN
    assert await site.certificates() == []


async def test_scep_54_a_poll_after_the_answer_was_lost_gets_the_certificate_again() -> None:
    site = await a_waiting_site()
    await approve(site)
    first = await asked(site, poll(self_signed(KEY)))

    second = await asked(site, poll(self_signed(KEY)))

    assert opened_by(first, self_signed(KEY)) == opened_by(second, self_signed(KEY))
    assert len(await site.certificates()) == 1


async def test_scep_54_a_poll_long_after_the_answer_is_unknown() -> None:
    site = await a_waiting_site()
    await approve(site)
    await asked(site, poll(self_signed(KEY)))
    site.clock.advance(timedelta(hours=25))

    reply = await asked(site, poll(self_signed(KEY)))

    assert told(reply) == UNKNOWN


async def test_scep_55_a_new_transaction_with_the_same_key_joins_the_order() -> None:
    site = await open_site(a_policy(a_manual_group()))
    await site.register()
    code = await site.code()
    await asked(site, a_pkcs_req(KEY, code))

    again = await asked(site, a_pkcs_req(KEY, code, transaction_id=printable("t-2")))
    orders = await site.orders(pending_only=True)
    await approve(site)
    issued = await asked(site, poll(self_signed(KEY), "t-2"))

    assert again.status == "3"
    assert len(orders) == 1
    assert issued.status == "0"
    assert len(await site.certificates()) == 1


async def test_scep_26_a_renewal_that_waits_is_polled_with_the_certificate_that_signed_it() -> None:
    site = await open_site()
    held = await site.enroll()
    group = a_manual_group()
    await store(site.registry, lambda uow: uow.policy.put_group(group))
    csr = a_csr(a_new_key(), subject=held.certificate.subject)

    waiting = await asked(site, Message(signer=held, content=csr, kind=17))
    await approve(site)
    issued = await asked(site, poll(held))

    assert waiting.status == "3"
    assert issued.status == "0"
    assert len(await site.certificates()) == 2


@pytest.mark.parametrize("content", [a_csr(KEY), b"", b"\x30", bytes(64)])
async def test_scep_26_what_is_sealed_in_a_poll_decides_nothing(content: bytes) -> None:
    site = await a_waiting_site()

    reply = await asked(site, replace(poll(self_signed(KEY)), content=content))

    assert reply.status == "3"


# GetCert


async def test_scep_28_a_device_gets_its_certificate_by_signing_with_it() -> None:
    site = await open_site()
    held = await site.enroll()

    reply = await asked(site, get_cert(held, held))

    assert reply.status == "0"
    assert [each.public_bytes(Encoding.DER) for each in opened_by(reply, held)] == [held.der]


async def test_scep_28_a_device_gets_its_certificate_by_its_key_alone() -> None:
    site = await open_site()
    held = await site.enroll()
    signer = self_signed(held.key)

    reply = await asked(site, get_cert(signer, held))

    assert [each.public_bytes(Encoding.DER) for each in opened_by(reply, signer)] == [held.der]


async def test_scep_28_a_device_gets_another_of_its_own_certificates() -> None:
    site = await open_site()
    bootstrap, operational = await site.provision()

    reply = await asked(site, get_cert(operational, bootstrap))

    assert reply.status == "0"


async def test_scep_28_what_is_anothers_is_told_like_what_is_not_there() -> None:
    site = await open_site()
    held, other = await site.enroll(), await site.enroll("pump-2")
    nothing = sequence(held.certificate.issuer.public_bytes(), b"\x02\x01\x05")

    for message in (
        get_cert(held, other),
        get_cert(self_signed(OTHER_KEY), held),
        Message(signer=held, content=nothing, kind=21),
    ):
        assert told(await asked(site, message)) == UNKNOWN


async def test_scep_28_a_serial_number_under_another_issuer_is_unknown() -> None:
    site = await open_site()
    held = await site.enroll()
    content = named(held.certificate).replace(b"Test Issuing CA", b"Tset Issuing CA")

    reply = await asked(site, Message(signer=held, content=content, kind=21))

    assert told(reply) == UNKNOWN


async def test_scep_28_a_revoked_certificate_opens_nothing_of_its_device() -> None:
    site = await open_site()
    bootstrap, operational = await site.provision()
    record = await site.record_of(operational)
    await site.lifecycle.revoke(record, RevocationReason.SUPERSEDED, actor=OPERATOR)

    reply = await asked(site, get_cert(operational, bootstrap))

    assert told(reply) == UNKNOWN


async def test_scep_28_an_expired_certificate_opens_nothing_of_its_device() -> None:
    site = await open_site()
    bootstrap, operational = await site.provision()
    site.clock.advance(timedelta(days=91))

    reply = await asked(site, get_cert(operational, bootstrap))

    assert told(reply) == UNKNOWN


async def test_scep_28_a_deleted_device_gets_nothing() -> None:
    site = await open_site()
    held = await site.enroll()
    await put_in_state(site, DeviceState.DELETED)

    assert told(await asked(site, get_cert(held, held))) == UNKNOWN


async def test_scep_28_a_superseded_certificate_opens_nothing_but_itself() -> None:
    site = await open_site()
    first = await site.enroll()
    second = await site.obtain(renewal(first))
    third = await site.obtain(renewal(second))

    assert told(await asked(site, get_cert(first, third))) == UNKNOWN
    assert (await asked(site, get_cert(first, first))).status == "0"


@pytest.mark.parametrize("kind", [21, 22])
async def test_scep_49_a_request_names_no_certificate(kind: int) -> None:
    site = await open_site()

    reply = await asked(site, Message(signer=self_signed(KEY), content=a_csr(KEY), kind=kind))

    assert told(reply) == UNKNOWN


async def test_scep_53_get_cert_fails_at_once_while_the_registry_is_down() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    held = await site.enroll()
    registry.interruptions += [the_database_is_gone] * 2

    reply = await asked(site, get_cert(held, held))

    assert (reply.status, reply.fail_info) == ("2", "2")


@pytest.mark.parametrize("kind", [20, 21, 22])
async def test_scep_42_a_lookup_by_an_ec_key_cannot_be_answered(kind: int) -> None:
    site = await open_site()
    key = ec.generate_private_key(ec.SECP256R1())
    content = SUBJECTS if kind == 20 else named(self_signed(KEY).certificate)

    reply = await asked(site, Message(signer=self_signed(key), content=content, kind=kind))

    assert told(reply) == ("2", "2", "There is no way to encrypt an answer to this key.")


# GetCRL


def services_with_a_list() -> tuple[FixedServices, bytes]:
    issuer = an_issuer()
    made = make_crl(
        issuer,
        (),
        number=7,
        this_update=START,
        next_update=START + timedelta(days=1),
        revocation_version=0,
    )
    name = issuer.certificate.subject.public_bytes()
    return FixedServices(by_label={None: SCEPOptions()}, lists={name: made.der}), made.der


def get_crl(signer: Held, issued_by: x509.Certificate) -> Message:
    serial = b"\x02\x01\x05"
    content = sequence(issued_by.subject.public_bytes(), serial)
    return Message(signer=signer, content=content, kind=22)


async def test_scep_29_anybody_gets_the_published_list_and_no_certificate() -> None:
    site = await open_site()
    services, der = services_with_a_list()
    signer = self_signed(KEY)

    reply = await asked(site, get_crl(signer, an_issuer().certificate), services=services)

    assert reply.status == "0"
    assert reply.envelope is not None
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    opened = pkcs7.pkcs7_decrypt_der(reply.envelope, signer.certificate, signer.key, [])
    found = asn1_cms.ContentInfo.load(opened, strict=True)["content"]
    assert [each.chosen.dump() for each in found["crls"]] == [der]
    assert len(found["certificates"]) == 0
    assert len(found["signer_infos"]) == 0


async def test_scep_29_a_device_gets_the_list_by_its_certificate() -> None:
    site = await open_site()
    services, _ = services_with_a_list()

    reply = await asked(
        site, get_crl(await site.enroll(), an_issuer().certificate), services=services
    )

    assert reply.status == "0"


async def test_scep_29_without_a_list_of_that_issuer_it_is_bad_cert_id() -> None:
    site = await open_site()
    services, _ = services_with_a_list()

    reply = await asked(
        site, get_crl(self_signed(KEY), self_signed(OTHER_KEY).certificate), services=services
    )

    assert (reply.status, reply.fail_info) == ("2", "4")
