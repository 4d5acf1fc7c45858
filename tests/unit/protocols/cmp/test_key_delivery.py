"""Keys made for senders of CMP: who may ask, how, and what they get."""

from dataclasses import replace

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.certificates import CertificateStatus
from enroll.device import DeviceState
from enroll.key_generation import MadePrivateKey
from enroll.options import GeneratedKeyAlgorithm as G
from enroll.profiles import Approval, KeyAlgorithm, KeyUsageBit
from protocols.cmp.messages import BodyType
from tests.support.builders import a_certificate_profile, a_group, a_policy
from tests.support.cmp import a_certificate, integer
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Answered,
    a_wire,
    an_endpoint,
    by_held,
    read,
)
from tests.support.cmp_keys import (
    RSA,
    USAGES,
    a_client,
    ask_for_key,
    certificate_in,
    envelope_of,
    has_key,
    key_policy,
    keyless,
    that_reads_keys,
)
from tests.support.crmf import a_cert_request, a_message, signature_over, vouched
from tests.support.csr import a_key, a_name, sequence, tlv
from tests.support.enrollment import Held, Site, by_code, open_site

SIGNS_ONLY = frozenset({KeyUsageBit.DIGITAL_SIGNATURE})


class NoKeys:
    """A generator that must not be asked."""

    async def make(self, algorithm: KeyAlgorithm, device_id: str) -> MadePrivateKey:
        raise AssertionError((algorithm, device_id))


def check_refused(answer: Answered, kind: BodyType, fail_info: str) -> None:
    assert answer.kind is kind
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


async def a_site_without_keys(policy: object = None) -> Site:
    site = await open_site(policy or key_policy())  # type: ignore[arg-type]  # a policy
    site.key_generator = NoKeys()
    return site


async def held_with(site: Site, kind: str = "p-256") -> Held:
    """Enroll a device that has a key of this kind."""
    await site.register()
    ask = by_code("pump-1", await site.code(), key=a_key(kind, 11))
    return await site.obtain(ask)


async def test_cmp_K1_where_no_keys_are_made_nobody_gets_one() -> None:
    site = await a_site_without_keys(a_policy())
    client = await a_client(site)

    answer = await ask_for_key(client)

    check_refused(answer, BodyType.IP, "notAuthorized")
    assert not await site.certificates()


async def test_cmp_K1_openssl_asks_in_pvno_2_and_is_answered_in_pvno_3() -> None:
    site = await open_site(key_policy())
    client = await a_client(site)

    answer = await ask_for_key(client, pvno=2)

    assert (answer.kind, answer.header.pvno, has_key(answer)) == (BodyType.IP, 3, True)


async def test_cmp_K1_a_strict_profile_makes_keys_in_pvno_3_only() -> None:
    policy = key_policy()
    strict = replace(policy.enrollment_profiles["bootstrap"].cmp, strict=True)
    site = await a_site_without_keys(key_policy(cmp=strict))
    client = await a_client(site)

    client.header = replace(client.header, sender=tlv(0xA4, a_name("pump-1").public_bytes()))

    answer = await ask_for_key(client, pvno=2, message_time=site.clock.now())

    check_refused(answer, BodyType.ERROR, "badRequest")


async def test_cmp_K1_who_names_no_key_and_proves_one_gets_none() -> None:
    site = await a_site_without_keys()
    client = await a_client(site)
    bare = a_cert_request(None, number=0)
    proven = a_message(bare, signature_over(b"anything", a_key()))

    for each in (vouched(bare), proven):
        answer = await ask_for_key(client, content=sequence(each))
        check_refused(answer, BodyType.IP, "badCertTemplate")

    assert not await site.certificates()


@pytest.mark.parametrize("bits", ["03020000", "0303000101"])
async def test_cmp_K1_a_key_that_is_no_key_is_not_taken_for_none(bits: str) -> None:
    site = await a_site_without_keys()
    client = await a_client(site)

    answer = await ask_for_key(client, content=keyless(algorithm=RSA, bits=bytes.fromhex(bits)))

    assert (answer.status, has_no_certificate(answer)) == (2, True)


def has_no_certificate(answer: Answered) -> bool:
    return answer.kind is BodyType.ERROR or not (
        answer.body["response"][0]["certifiedKeyPair"].isValue
    )


@pytest.mark.parametrize("kind", ["rsa-2048", "p-256", "ed25519"])
async def test_cmp_K3_a_certificate_that_permits_no_encryption_gets_no_key(kind: str) -> None:
    site = await open_site(key_policy(key_usage=SIGNS_ONLY))
    held = await held_with(site, kind)
    site.key_generator = NoKeys()
    client = that_reads_keys(by_held(site, held, "operational"))

    answer = await ask_for_key(client, BodyType.CR)

    check_refused(answer, BodyType.CP, "notAuthorized")
    assert len(await site.certificates()) == 1


async def test_cmp_K1_no_key_is_made_while_nobody_can_sign_it() -> None:
    site = await a_site_without_keys()
    client = await a_client(site)
    endpoint = await an_endpoint(site, signs_keys=False)

    answer = read(await endpoint(a_wire(client.message(BodyType.IR, keyless()))), client.form)

    check_refused(answer, BodyType.IP, "systemUnavail")
    assert not await site.certificates()


async def test_cmp_K2_a_mac_gets_a_key_under_its_secret() -> None:
    site = await open_site(key_policy())
    client = await a_client(site)

    answer = await ask_for_key(client)
    confirmed = await client.confirm()

    enveloped = cms.ContentInfo.load(envelope_of(answer), strict=True)["content"]
    (recipient,) = enveloped["recipient_infos"]
    assert (answer.kind, answer.status, answer.header.pvno) == (BodyType.IP, 0, 3)
    assert (enveloped["version"].native, recipient.name) == ("v3", "pwri")
    assert recipient.chosen["version"].native == "v0"
    derivation = recipient.chosen["key_derivation_algorithm"]["parameters"]
    assert derivation["salt"].native not in client.protection.algorithm
    assert enveloped["encrypted_content_info"]["content_type"].native == "signed_data"
    assert confirmed.kind is BodyType.PKICONF
    assert (await site.device()).state is DeviceState.REGISTERED


async def test_cmp_K2_a_strict_profile_wraps_the_key_as_rfc_9483_has_it() -> None:
    policy = key_policy()
    strict = replace(policy.enrollment_profiles["bootstrap"].cmp, strict=True)
    site = await open_site(
        key_policy(cmp=strict),
    )
    client = await a_client(site)
    client.header = replace(client.header, sender=tlv(0xA4, a_name("pump-1").public_bytes()))

    answer = await ask_for_key(client, message_time=site.clock.now())

    enveloped = cms.ContentInfo.load(envelope_of(answer), strict=True)["content"]
    (recipient,) = enveloped["recipient_infos"]
    algorithm = recipient.chosen["key_encryption_algorithm"]["algorithm"]
    assert algorithm.dotted == "2.16.840.1.101.3.4.1.45"


@pytest.mark.parametrize(
    ("kind", "name", "version"), [("rsa-2048", "ktri", "v2"), ("p-384", "kari", "v3")]
)
async def test_cmp_K2_a_signer_gets_a_key_under_its_own(kind: str, name: str, version: str) -> None:
    site = await open_site(key_policy())
    held = await held_with(site, kind)
    client = that_reads_keys(by_held(site, held, "operational"))

    answer = await ask_for_key(client, BodyType.CR)
    await client.confirm()

    enveloped = cms.ContentInfo.load(envelope_of(answer), strict=True)["content"]
    (recipient,) = enveloped["recipient_infos"]
    assert (enveloped["version"].native, recipient.name) == ("v2", name)
    assert recipient.chosen["version"].native == version
    assert client.header.sender_kid is not None
    assert client.header.sender_kid in recipient.dump()
    assert (await site.certificates())[0].status is CertificateStatus.ACTIVE


async def test_cmp_K2_a_kur_gets_a_new_key() -> None:
    site = await open_site(key_policy())
    held = await held_with(site)
    client = that_reads_keys(by_held(site, held))

    answer = await ask_for_key(client, BodyType.KUR)
    await client.confirm()

    assert answer.kind is BodyType.KUP
    assert has_key(answer)
    assert certificate_in(answer).public_key() != held.certificate.public_key()


async def test_cmp_K3_a_kur_under_a_mac_is_wrong_integrity() -> None:
    site = await a_site_without_keys()
    client = await a_client(site)

    answer = await ask_for_key(client, BodyType.KUR)

    check_refused(answer, BodyType.ERROR, "wrongIntegrity")


@pytest.mark.parametrize(
    ("made", "wish", "expected", "status"),
    [
        ((G.P_256,), None, ec.EllipticCurvePublicKey, 0),
        ((G.P_256, G.RSA_2048), RSA, rsa.RSAPublicKey, 0),
        ((G.P_256,), RSA, ec.EllipticCurvePublicKey, 1),
        ((G.P_256,), sequence(bytes.fromhex("06032a0304")), ec.EllipticCurvePublicKey, 1),
        (
            (G.P_256, G.X25519),
            sequence(bytes.fromhex("06032b656e")),
            x25519.X25519PublicKey,
            0,
        ),
        (
            (G.P_256, G.ML_DSA_87),
            sequence(bytes.fromhex("0609608648016503040313")),
            mldsa.MLDSA87PublicKey,
            0,
        ),
        (
            (G.P_256, G.ML_KEM_768),
            sequence(bytes.fromhex("0609608648016503040402")),
            mlkem.MLKEM768PublicKey,
            0,
        ),
    ],
)
async def test_cmp_K4_the_sort_of_key_is_a_wish(
    made: tuple[G, ...], wish: bytes | None, expected: type, status: int
) -> None:
    everything = a_certificate_profile(
        "bootstrap", key_algorithms=frozenset(KeyAlgorithm), key_usage=USAGES
    )
    site = await open_site(key_policy(everything, made=made))
    client = await a_client(site)

    answer = await ask_for_key(client, content=keyless(algorithm=wish))

    assert isinstance(certificate_in(answer).public_key(), expected)
    assert answer.status == status
    assert has_key(answer)


async def test_cmp_K4_another_sort_than_was_wished_is_told_at_the_end_of_polling_too() -> None:
    site = await open_site(key_policy(a_group(approval=Approval.MANUAL), made=(G.P_256,)))
    client = await a_client(site)
    await ask_for_key(client, content=keyless(algorithm=RSA))
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor="cli:other")

    given = await client.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))

    assert given.status == 1
    assert has_key(given)


async def test_cmp_K5_a_key_is_told_once() -> None:
    site = await open_site(key_policy())
    client = await a_client(site)
    message = client.message(BodyType.IR, keyless())
    await client.post(message)

    again = await client.post(message)

    check_refused(read(again, client.form), BodyType.ERROR, "badMessageCheck")
    assert len(await site.certificates()) == 1


async def test_cmp_K5_who_signs_asks_anew_and_gets_another_key() -> None:
    site = await open_site(key_policy())
    held = await held_with(site)
    keys = []
    for _ in range(2):
        client = that_reads_keys(by_held(site, held, "operational"))
        answer = await ask_for_key(client, BodyType.CR)
        await client.confirm()
        keys.append(certificate_in(answer).public_key())

    assert keys[0] != keys[1]


async def test_cmp_K5_a_key_is_made_when_a_person_has_approved() -> None:
    site = await open_site(key_policy(a_group(approval=Approval.MANUAL)))
    client = await a_client(site)
    content = sequence(sequence(integer(0)))
    waiting = await ask_for_key(client)
    client.heard = still = await client.send(BodyType.POLL_REQ, content)
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor="cli:other")

    client.heard = given = await client.send(BodyType.POLL_REQ, content)
    again = await client.send(BodyType.POLL_REQ, content)
    confirmed = await client.confirm()

    assert (waiting.status, still.kind) == (3, BodyType.POLL_REP)
    assert has_key(given)
    check_refused(again, BodyType.ERROR, "badRequest")
    assert confirmed.kind is BodyType.PKICONF


async def test_cmp_K3_nothing_waits_for_a_person_that_could_get_no_key() -> None:
    site = await open_site(
        key_policy(a_group(renewal_approval=Approval.MANUAL), key_usage=SIGNS_ONLY)
    )
    held = await held_with(site)
    client = that_reads_keys(by_held(site, held))

    answer = await ask_for_key(client, BodyType.KUR)

    check_refused(answer, BodyType.KUP, "notAuthorized")
    assert not await site.orders()


async def test_cmp_N3_a_registration_authority_asks_for_no_key_in_a_devices_name() -> None:
    site = await a_site_without_keys()
    await site.register()
    client = that_reads_keys(by_held(site, an_authority_of_ours()))

    answer = await ask_for_key(client, BodyType.CR)

    check_refused(answer, BodyType.ERROR, "notAuthorized")


def an_authority_of_ours() -> Held:
    key = a_key("p-256", 12)
    purposes = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")])
    certificate = a_certificate(key, "ra", purposes)
    return Held(der=certificate.public_bytes(Encoding.DER), key=key)
