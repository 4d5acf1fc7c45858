"""Keys that cannot sign, and others that do not: possession proven by what was encrypted."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc9810
from pyasn1_modules import rfc4211

from enroll.certificates import CertificateStatus, RevocationReason
from enroll.device import DeviceState
from enroll.profiles import Approval, KeyAlgorithm
from protocols import der
from protocols.cmp.messages import BodyType
from tests.support.builders import a_certificate_profile, a_group, a_policy
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Answered, Client, by_held, by_secret
from tests.support.cmp_possession import ENVELOPED_DATA, decrypted, decrypted_rand
from tests.support.crmf import a_cert_request, a_message, a_private_key_message, signature_over
from tests.support.csr import a_key, a_name, sequence, tlv
from tests.support.enrollment import OPERATOR, Site, by_code, open_site
from tests.support.openssl import openssl

PURPOSES = {
    "rsa-2048": "keyEncipherment",
    "ml-kem-768": "keyEncipherment",
    "ml-kem-1024": "keyEncipherment",
    "p-256": "keyAgreement",
    "p-521": "keyAgreement",
    "x25519": "keyAgreement",
    "x448": "keyAgreement",
}
USAGES = {
    "x25519": "key_agreement",
    "x448": "key_agreement",
    "ml-kem-768": "key_encipherment",
    "ml-kem-1024": "key_encipherment",
}
MAKERS: dict[str, Any] = {
    "x25519": x25519.X25519PrivateKey.generate,
    "x448": x448.X448PrivateKey.generate,
    "ml-kem-768": mlkem.MLKEM768PrivateKey.generate,
    "ml-kem-1024": mlkem.MLKEM1024PrivateKey.generate,
}


def a_private_key(kind: str) -> Any:
    return MAKERS[kind]() if kind in MAKERS else a_key(kind)


async def a_site(**group: Any) -> Site:
    """Open a site whose profile takes keys of every kind."""
    every = [
        a_certificate_profile(name, key_algorithms=frozenset(KeyAlgorithm))
        for name in ("bootstrap", "operational")
    ]
    site = await open_site(policy=a_policy(*every, a_group(**group)))
    await site.register()
    return site


async def a_client(site: Site, pvno: int = 3) -> Client:
    client = by_secret(site, "pump-1", await site.code())
    return in_pvno_3(client, pvno)


def in_pvno_3(client: Client, pvno: int = 3) -> Client:
    return replace(client, header=replace(client.header, pvno=pvno), form=rfc9810)


def content(key: Any, purpose: str, method: str = "encrCert") -> bytes:
    request = a_cert_request(key, number=0)
    return sequence(a_private_key_message(request, purpose, content=method))


async def asked(client: Client, key: Any, purpose: str, method: str = "encrCert") -> Answered:
    client.heard = await client.send(BodyType.IR, content(key, purpose, method))
    return client.heard


def opened_by_openssl(enveloped: bytes, key: Any, folder: Path) -> bytes:
    (element,) = der.split(enveloped)
    message = sequence(ENVELOPED_DATA, tlv(0xA0, sequence(element.content)))
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return openssl("cms", "-decrypt", "-inform", "DER", "-inkey", path, "-binary", given=message)


async def confirmed(client: Client, certificate: bytes) -> Answered:
    content = sequence(sequence(tlv(0x04, hashlib.sha256(certificate).digest()), integer(0)))
    return await client.send(BodyType.CERT_CONF, content)


def check_refused(answer: Answered, kind: BodyType, fail_info: str) -> None:
    assert answer.kind is kind
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


@pytest.mark.parametrize(("kind", "purpose"), PURPOSES.items())
async def test_cmp_O4_an_encrypted_certificate_counts_once_its_hash_proves_that_it_was_read(
    kind: str, purpose: str
) -> None:
    site, key = await a_site(), a_private_key(kind)
    client = await a_client(site)

    given = await asked(client, key, purpose)
    certificate = decrypted(given.encrypted, key)
    before = (await site.certificates())[0], await site.device()
    answer = await confirmed(client, certificate)

    assert (given.kind, given.status) == (BodyType.IP, 0)
    assert before[0].der == certificate
    assert before[0].status is CertificateStatus.PENDING_CONFIRM
    assert before[1].state is DeviceState.ENROLLED
    assert answer.kind is BodyType.PKICONF
    assert (await site.certificates())[0].status is CertificateStatus.ACTIVE
    assert (await site.device()).state is DeviceState.REGISTERED
    found = x509.load_der_x509_certificate(certificate)
    assert found.public_key() == key.public_key()
    if kind in USAGES:
        usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
        assert getattr(usage, USAGES[kind])
        assert not usage.digital_signature


@pytest.mark.parametrize("kind", ["rsa-2048", "p-256", "p-521"])
async def test_openssl_decrypts_the_certificate(kind: str, tmp_path: Path) -> None:
    site, key = await a_site(), a_private_key(kind)

    given = await asked(await a_client(site), key, PURPOSES[kind])

    certificate = opened_by_openssl(given.encrypted, key, tmp_path)
    assert certificate == (await site.certificates())[0].der


async def test_what_is_encrypted_is_nowhere_in_the_message() -> None:
    site, key = await a_site(), a_private_key("x25519")

    given = await asked(await a_client(site), key, "keyAgreement")

    record = (await site.certificates())[0]
    certificate = x509.load_der_x509_certificate(record.der)
    assert certificate.signature not in given.octets
    assert certificate.serial_number.to_bytes(20) not in given.octets
    assert record.der not in given.extra_certs


async def test_cmp_H2_pvno_2_has_an_encrypted_value_for_an_rsa_key() -> None:
    site, key = await a_site(), a_private_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)

    given = await asked(client := await a_client(site, pvno=2), key, "keyEncipherment")

    value, rest = decoder.decode(given.encrypted, asn1Spec=rfc4211.EncryptedValue())
    assert not rest
    assert encoder.encode(value) == given.encrypted
    content_key = key.decrypt(value["encSymmKey"].asOctets(), padding.PKCS1v15())
    assert str(value["symmAlg"]["algorithm"]) == "2.16.840.1.101.3.4.1.42"
    vector = decoder.decode(value["symmAlg"]["parameters"])[0].asOctets()
    decryptor = Cipher(AES(content_key), CBC(vector)).decryptor()
    padded = decryptor.update(value["encValue"].asOctets()) + decryptor.finalize()
    certificate = padded[: -padded[-1]]
    assert certificate == (await site.certificates())[0].der
    assert (await confirmed(client, certificate)).kind is BodyType.PKICONF


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *[(kind, "encrCert") for kind in PURPOSES if kind != "rsa-2048"],
        *[(kind, "challengeResp") for kind in PURPOSES],
    ],
)
async def test_cmp_H2_pvno_2_cannot_carry_an_envelope(kind: str, method: str) -> None:
    site = await a_site()

    given = await asked(await a_client(site, pvno=2), a_private_key(kind), PURPOSES[kind], method)

    check_refused(given, BodyType.IP, "badPOP")
    assert not await site.certificates()


async def test_cmp_H11_no_implicit_confirmation_is_granted_with_an_encrypted_certificate() -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)

    given = await client.send(BodyType.IR, content(key, "keyAgreement"), implicit_confirm=True)

    assert not given.header.implicit_confirm
    assert given.header.confirm_wait_time is not None
    assert (await site.certificates())[0].status is CertificateStatus.PENDING_CONFIRM


async def test_a_wrong_hash_proves_nothing() -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    given = await asked(client, key, "keyAgreement")

    answer = await confirmed(client, given.encrypted)

    check_refused(answer, BodyType.ERROR, "badCertId")
    assert (await site.certificates())[0].status is CertificateStatus.PENDING_CONFIRM


async def test_a_certificate_that_nobody_could_read_is_revoked() -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    given = await asked(client, key, "keyAgreement")

    site.clock.advance(timedelta(days=2))
    await site.confirmations.settle()
    answer = await confirmed(client, decrypted(given.encrypted, key))

    assert (await site.certificates())[0].status is CertificateStatus.REVOKED
    assert answer.kind is BodyType.ERROR


async def test_an_answer_that_was_lost_is_encrypted_again() -> None:
    site, key = await a_site(), a_private_key("ml-kem-768")
    client = await a_client(site)

    first = await asked(client, key, "keyEncipherment")
    client.heard = None
    again = await asked(client, key, "keyEncipherment")

    assert first.encrypted != again.encrypted
    assert decrypted(first.encrypted, key) == decrypted(again.encrypted, key)
    assert len(await site.certificates()) == 1


async def test_a_key_is_nobodys_until_its_possession_is_proven() -> None:
    """Else anybody who has a code could name the key of another device, and bar it for ever."""
    site, key = await a_site(), a_private_key("p-256")
    await site.register("pump-2")
    await asked(await a_client(site), key, "keyAgreement")

    held = await site.obtain(replace(by_code("pump-2", await site.code("pump-2")), key=key))

    assert (await site.record_of(held)).status is CertificateStatus.ACTIVE


async def test_a_key_that_is_anothers_by_then_is_refused_at_the_confirmation() -> None:
    site, key = await a_site(), a_private_key("p-256")
    await site.register("pump-2")
    client = await a_client(site)
    given = await asked(client, key, "keyAgreement")
    await site.obtain(replace(by_code("pump-2", await site.code("pump-2")), key=key))

    answer = await confirmed(client, decrypted(given.encrypted, key))

    check_refused(answer, BodyType.ERROR, "badCertTemplate")
    assert (await site.certificates())[0].status is CertificateStatus.PENDING_CONFIRM


async def test_an_unproven_key_is_not_condemned_with_its_certificate() -> None:
    site, key = await a_site(), a_private_key("p-256")
    await site.register("pump-2")
    await asked(await a_client(site), key, "keyAgreement")
    (record,) = await site.certificates()

    await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)

    held = await site.obtain(replace(by_code("pump-2", await site.code("pump-2")), key=key))
    assert (await site.record_of(held)).status is CertificateStatus.ACTIVE


async def test_what_a_person_approved_is_encrypted_too() -> None:
    site, key = await a_site(approval=Approval.MANUAL), a_private_key("x448")
    client = await a_client(site)

    waits = await asked(client, key, "keyAgreement")
    client.heard = await client.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))
    told = client.heard
    (order,) = await site.orders()
    await site.approvals.approve(order.order_id, actor=OPERATOR)
    client.heard = await client.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))
    answer = await confirmed(client, decrypted(client.heard.encrypted, key))

    assert (waits.kind, waits.status) == (BodyType.IP, 3)
    assert told.kind is BodyType.POLL_REP
    assert answer.kind is BodyType.PKICONF
    assert (await site.certificates())[0].status is CertificateStatus.ACTIVE


@pytest.mark.parametrize(("kind", "purpose"), PURPOSES.items())
async def test_a_challenge_is_answered_before_the_certificate_is_given(
    kind: str, purpose: str
) -> None:
    site, key = await a_site(), a_private_key(kind)
    client = await a_client(site)

    challenged = await asked(client, key, purpose, "challengeResp")
    rand = decrypted_rand(challenged, key)
    client.heard = await client.send(BodyType.POPDECR, sequence(rand))
    answer = await client.confirm()

    assert challenged.kind is BodyType.POPDECC
    assert client.heard.kind is BodyType.IP
    assert (client.heard.status, client.heard.cert_req_id) == (0, 0)
    assert x509.load_der_x509_certificate(client.heard.certificate).public_key() == (
        key.public_key()
    )
    assert answer.kind is BodyType.PKICONF
    assert (await site.device()).state is DeviceState.REGISTERED


@pytest.mark.parametrize(("subject", "status"), [("pump-1", 0), ("nobody-9", 1)])
async def test_cmp_O2_what_was_changed_is_told_after_a_challenge_too(
    subject: str, status: int
) -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    request = a_cert_request(key, number=0, subject=a_name(subject))
    message = a_private_key_message(request, "keyAgreement", content="challengeResp")
    client.heard = challenged = await client.send(BodyType.IR, sequence(message))

    client.heard = given = await client.send(
        BodyType.POPDECR, sequence(decrypted_rand(challenged, key))
    )
    confirmed = await client.confirm()

    assert (given.kind, given.status) == (BodyType.IP, status)
    assert confirmed.kind is BodyType.PKICONF


async def test_a_wrong_answer_to_a_challenge_is_badpop_and_revokes() -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    challenged = await asked(client, key, "keyAgreement", "challengeResp")
    right = decrypted_rand(challenged, key)

    wrong = await client.send(BodyType.POPDECR, sequence(integer(1)))
    late = await client.send(BodyType.POPDECR, sequence(right))

    check_refused(wrong, BodyType.ERROR, "badPOP")
    assert late.kind is BodyType.ERROR
    assert (await site.certificates())[0].status is CertificateStatus.REVOKED


@pytest.mark.parametrize("kind", [BodyType.CERT_CONF, BodyType.POLL_REQ])
async def test_nothing_follows_a_challenge_but_its_answer(kind: BodyType) -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    await asked(client, key, "keyAgreement", "challengeResp")
    (record,) = await site.certificates()
    contents = {
        BodyType.CERT_CONF: sequence(
            sequence(tlv(0x04, hashlib.sha256(record.der).digest()), integer(0))
        ),
        BodyType.POLL_REQ: sequence(sequence(integer(0))),
    }

    answer = await client.send(kind, contents[kind])

    check_refused(answer, BodyType.ERROR, "badRequest")
    assert (await site.certificates())[0].status is CertificateStatus.PENDING_CONFIRM


async def test_an_answer_without_a_challenge_has_no_place() -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    await asked(client, key, "keyAgreement")

    answer = await client.send(BodyType.POPDECR, sequence(integer(1)))

    check_refused(answer, BodyType.ERROR, "badRequest")


async def test_the_answer_to_another_challenge_is_wrong() -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    first = decrypted_rand(await asked(client, key, "keyAgreement", "challengeResp"), key)
    client.heard = None
    await asked(client, key, "keyAgreement", "challengeResp")

    answer = await client.send(BodyType.POPDECR, sequence(first))

    check_refused(answer, BodyType.ERROR, "badPOP")


async def test_a_challenged_request_that_a_person_decides_on_is_polled_for() -> None:
    site, key = await a_site(approval=Approval.MANUAL), a_private_key("x25519")
    client = await a_client(site)

    challenged = await asked(client, key, "keyAgreement", "challengeResp")
    rand = decrypted_rand(challenged, key)
    waits = client.heard = await client.send(BodyType.POPDECR, sequence(rand))
    (order,) = await site.orders()
    await site.approvals.approve(order.order_id, actor=OPERATOR)
    client.heard = await client.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))
    answer = await client.confirm()

    assert (waits.kind, waits.status) == (BodyType.IP, 3)
    assert client.heard.kind is BodyType.IP
    assert answer.kind is BodyType.PKICONF
    assert (await site.certificates())[0].status is CertificateStatus.ACTIVE


@pytest.mark.parametrize("numbers", [0, 2])
async def test_a_challenge_has_one_answer(numbers: int) -> None:
    site, key = await a_site(), a_private_key("x25519")
    client = await a_client(site)
    await asked(client, key, "keyAgreement", "challengeResp")

    answer = await client.send(BodyType.POPDECR, sequence(*[integer(1)] * numbers))

    assert answer.kind is BodyType.ERROR
    assert (await site.certificates())[0].status is CertificateStatus.PENDING_CONFIRM


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [
        ("rsa-2048", "keyAgreement"),
        ("ml-kem-768", "keyAgreement"),
        ("p-256", "keyEncipherment"),
        ("x25519", "keyEncipherment"),
        ("x448", "keyEncipherment"),
        ("ed25519", "keyEncipherment"),
        ("ed25519", "keyAgreement"),
        ("ml-dsa-44", "keyEncipherment"),
    ],
)
@pytest.mark.parametrize("method", ["encrCert", "challengeResp"])
async def test_a_key_that_is_not_for_this_proves_nothing_so(
    kind: str, purpose: str, method: str
) -> None:
    site = await a_site()

    given = await asked(await a_client(site), a_private_key(kind), purpose, method)

    check_refused(given, BodyType.IP, "badPOP")
    assert not await site.certificates()


@pytest.mark.parametrize("purpose", ["keyEncipherment", "keyAgreement"])
@pytest.mark.parametrize(
    ("method", "octets"),
    [
        ("thisMessage", tlv(0x80, b"\0private key")),
        ("dhMAC", tlv(0x82, b"\0mac")),
        ("agreeMAC", tlv(0xA3, sequence(bytes.fromhex("06082b06010505070603")), tlv(3, b"\0mac"))),
        ("encryptedKey", tlv(0xA4, b"\x02\x01\x02")),
        ("subsequentMessage 2", tlv(0x81, b"\x02")),
        ("subsequentMessage of two octets", tlv(0x81, b"\x01\x00")),
    ],
)
@pytest.mark.parametrize("kind", ["rsa-2048", "x25519", "ml-kem-768"])
async def test_private_keys_and_macs_are_not_taken_as_a_proof(
    kind: str, purpose: str, method: str, octets: bytes
) -> None:
    del method
    site = await a_site()
    request = encoder.encode(a_cert_request(a_private_key(kind), number=0))
    proof = tlv(0xA2 if purpose == "keyEncipherment" else 0xA3, octets)
    client = await a_client(site)

    given = await client.send(BodyType.IR, sequence(sequence(request, proof)))

    check_refused(given, BodyType.IP, "badPOP")
    assert not await site.certificates()


@pytest.mark.parametrize("kind", [*PURPOSES, "ed25519"])
async def test_a_request_without_a_proof_is_badpop(kind: str) -> None:
    site = await a_site()
    client = await a_client(site)
    request = a_cert_request(a_private_key(kind), number=0)

    given = await client.send(BodyType.IR, sequence(a_message(request, None)))

    check_refused(given, BodyType.IP, "badPOP")


@pytest.mark.parametrize("kind", ["x25519", "x448", "ml-kem-768", "ml-kem-1024"])
async def test_a_signature_by_another_key_proves_no_key_that_cannot_sign(kind: str) -> None:
    site = await a_site()
    client = await a_client(site)
    request = a_cert_request(a_private_key(kind), number=0)
    proof = signature_over(encoder.encode(request), ed25519.Ed25519PrivateKey.generate())

    given = await client.send(BodyType.IR, sequence(a_message(request, proof)))

    check_refused(given, BodyType.IP, "badPOP")


@pytest.mark.parametrize("kind", ["x25519", "ml-kem-768"])
async def test_a_profile_takes_keys_that_cannot_sign_only_where_it_names_them(kind: str) -> None:
    site = await open_site()
    await site.register()

    given = await asked(await a_client(site), a_private_key(kind), PURPOSES[kind])

    check_refused(given, BodyType.IP, "badCertTemplate")


@pytest.mark.parametrize("method", ["encrCert", "challengeResp"])
async def test_a_point_of_small_order_gets_no_certificate(method: str) -> None:
    site = await a_site()
    spki = bytes.fromhex("302a300506032b656e032100") + bytes(32)
    template = tlv(0xA5, x509.Name([]).public_bytes()) + tlv(0xA6, der.split(spki)[0].content)
    request = sequence(integer(0), sequence(template))
    proof = tlv(0xA3, tlv(0x81, b"\x00" if method == "encrCert" else b"\x01"))

    given = await (await a_client(site)).send(BodyType.IR, sequence(sequence(request, proof)))

    check_refused(given, BodyType.IP, "badCertTemplate")
    assert not await site.certificates()


@pytest.mark.parametrize("method", ["encrCert", "challengeResp"])
async def test_a_bootstrap_certificate_gets_one_for_a_key_that_cannot_sign(method: str) -> None:
    site, key = await a_site(), a_private_key("ml-kem-768")
    held = await site.obtain(by_code("pump-1", await site.code()))
    site.clock.advance(timedelta(minutes=1))
    client = in_pvno_3(by_held(site, held, "operational"))

    client.heard = await client.send(BodyType.CR, content(key, "keyEncipherment", method))
    if method == "challengeResp":
        rand = decrypted_rand(client.heard, key)
        client.heard = await client.send(BodyType.POPDECR, sequence(rand))
        certificate = client.heard.certificate
    else:
        certificate = decrypted(client.heard.encrypted, key)
    answer = await confirmed(client, certificate)

    assert (client.heard.kind, answer.kind) == (BodyType.CP, BodyType.PKICONF)
    given = (await site.certificates())[0]
    assert (given.profile, given.status) == ("operational", CertificateStatus.ACTIVE)
    assert (await site.device()).state is DeviceState.PROVISIONED


async def test_a_kur_may_update_to_a_key_that_is_proven_by_decryption() -> None:
    site, key = await a_site(), a_private_key("p-256")
    held = await site.obtain(replace(by_code("pump-1", await site.code()), key=a_key("rsa-2048")))
    site.clock.advance(timedelta(minutes=1))
    client = in_pvno_3(by_held(site, held))
    subject = held.certificate.subject
    request = a_cert_request(key, number=0, subject=subject)

    client.heard = await client.send(
        BodyType.KUR, sequence(a_private_key_message(request, "keyAgreement"))
    )
    answer = await confirmed(client, decrypted(client.heard.encrypted, key))

    assert (client.heard.kind, answer.kind) == (BodyType.KUP, BodyType.PKICONF)
    assert (await site.certificates())[0].status is CertificateStatus.ACTIVE
    assert (await site.record_of(held)).status is CertificateStatus.SUPERSEDED
