"""Keys made for devices: how they leave, plain, or encrypted to whom (RFC 7030 §4.4.2)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import cms, keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from enroll.certificates import RevocationReason
from enroll.credentials import CredentialKind
from enroll.profiles import CertificateProfile, KeyUsageBit
from enroll.trust import CMC_RA, TrustPurpose
from tests.support.builders import a_certificate_profile, a_decryption_key, a_policy
from tests.support.csr import a_key, a_name, attribute, raw_csr, some_key_usage
from tests.support.enrollment import (
    OPERATOR,
    Held,
    Site,
    by_certificate,
    by_code,
    open_site,
)
from tests.support.est import post_for_key
from tests.support.key_generation import (
    AES_128_CBC,
    AES_128_WRAP,
    AES_256_CBC,
    AES_256_WRAP,
    DECRYPT_KEY_ID,
    EVERYTHING,
    RSAES_OAEP,
    SHARED,
    Answer,
    FixedCipher,
    a_signer,
    ask_for_key,
    capabilities_attribute,
    first,
    key_identifier,
    key_policy,
    nothing_happened,
    to_certificate,
    to_shared_key,
    with_shared_key,
)
from tests.support.registries import store
from tests.support.third_party import a_site, idevid, maker
from tests.support.third_party import ask as third_party_ask


def opened(answer: Answer, content_key: bytes) -> bytes:
    """Decrypt the content of the envelope, and check that a SignedData is in it."""
    enveloped = cms.ContentInfo.load(answer.key_octets, strict=True)["content"]
    info = enveloped["encrypted_content_info"]
    assert info["content_type"].native == "signed_data"
    algorithm = info["content_encryption_algorithm"]
    assert algorithm["algorithm"].native.endswith("_cbc")
    decryptor = Cipher(AES(content_key), CBC(algorithm["parameters"].native)).decryptor()
    padded = decryptor.update(info["encrypted_content"].native) + decryptor.finalize()
    return padded[: -padded[-1]]


def check_signed(signed: bytes, answer: Answer, signer: x509.Certificate) -> None:
    """Check who signed, what, and that it is the key of the certificate."""
    data = cms.SignedData.load(signed, strict=True)
    assert data["encap_content_info"]["content_type"].dotted == "2.16.840.1.101.2.1.2.78.5"
    package = data["encap_content_info"]["content"].native
    (info,) = data["signer_infos"]
    attributes = info["signed_attrs"].untag().dump()
    public_key = signer.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(info["signature"].native, attributes, ec.ECDSA(hashes.SHA256()))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(package)
    found = {each["type"].native: each["values"].native for each in info["signed_attrs"]}
    assert found["message_digest"] == [digest.finalize()]
    sent = [x509.load_der_x509_certificate(each.dump()) for each in data["certificates"]]
    assert public_key in [each.public_key() for each in sent]
    (one,) = OneKey.load(package, strict=True)
    private_key = load_der_private_key(one.dump(), None)
    assert private_key.public_key() == answer.issued.public_key()


class OneKey(keys.SequenceOf):  # type: ignore[misc]  # asn1crypto is untyped
    """An AsymmetricKeyPackage (RFC 5958 §2)."""

    _child_spec = keys.PrivateKeyInfo


def recipient(answer: Answer) -> cms.RecipientInfo:
    enveloped = cms.ContentInfo.load(answer.key_octets, strict=True)["content"]
    (only,) = enveloped["recipient_infos"]
    return only


def test_est_K6_only_an_encrypted_key_leaves_by_a_proxy() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await with_shared_key(site)

        answer = await ask_for_key(site, ask, to_shared_key(b"\x0a\x0b"), bits=None)

        assert answer.status == 200

    asyncio.run(run())


@pytest.mark.parametrize("attributes", [(), (capabilities_attribute(*EVERYTHING),)])
def test_est_K7_where_encryption_is_demanded_none_leaves_without(
    attributes: tuple[bytes, ...],
) -> None:
    async def run() -> None:
        site = await open_site(key_policy(key_encryption_required=True))
        ask = await first(site)

        answer = await ask_for_key(site, ask, *attributes)

        assert answer.status == 400
        assert b"decryptKeyIdentifier" in answer.body
        assert (await site.attempts())[0].finding == "key_encryption_required"
        await nothing_happened(site)

    asyncio.run(run())


def test_est_K8_to_a_key_that_the_device_shares() -> None:
    async def run() -> None:
        site = await open_site(key_policy(key_encryption_required=True))
        ask = await with_shared_key(site)
        signer = x509.load_der_x509_certificate((await a_signer(site)).certificates[0])

        answer = Answer.of(await ask_for_key(site, ask, to_shared_key(b"\x0a\x0b")))

        assert answer.key["Content-Type"] == (
            "application/pkcs7-mime; smime-type=server-generated-key"
        )
        info = recipient(answer)
        assert info.name == "kekri"
        assert info.chosen["version"].native == "v4"
        assert info.chosen["kekid"]["key_identifier"].native == b"\x0a\x0b"
        assert info.chosen["key_encryption_algorithm"]["algorithm"].native == "aes256_wrap"
        content_key = aes_key_unwrap(SHARED, info.chosen["encrypted_key"].native)
        check_signed(opened(answer, content_key), answer, signer)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("identifier", "capabilities", "finding"),
    [
        (b"\x0a\x0c", EVERYTHING, "recipient_unknown"),
        (b"\x0a\x0b", (AES_256_CBC, AES_128_WRAP), "unsupported_algorithm"),
        (b"\x0a\x0b", (AES_256_CBC,), "unsupported_algorithm"),
        (
            b"\x0a\x0b",
            (AES_256_WRAP, bytes.fromhex("06082a864886f70d0307")),
            "unsupported_algorithm",
        ),
    ],
    ids=["unknown key", "another wrap", "no wrap", "triple DES alone"],
)
def test_est_K3_K8_what_cannot_be_encrypted_to_is_refused_and_no_key_made(
    identifier: bytes, capabilities: tuple[bytes, ...], finding: str
) -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await with_shared_key(site)

        answer = await ask_for_key(site, ask, to_shared_key(identifier, *capabilities))

        assert answer.status == 400
        assert (await site.attempts())[0].finding == finding
        await nothing_happened(site)

    asyncio.run(run())


def test_a_shared_key_wrapped_for_another_is_a_fault_of_ours_and_no_key_is_made() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await first(site)
        device = await site.device()
        moved = a_decryption_key(0x0A, device_id=device.device_id, wrapped=bytes(60))
        await store(site.registry, lambda uow: uow.decryption_keys.add(moved))

        answer = await ask_for_key(site, ask, to_shared_key(b"\x0a"))

        assert answer.status == 500
        assert (await site.attempts())[0].finding == "decryption_key_unreadable"
        await nothing_happened(site)

    asyncio.run(run())


def test_est_K3_the_key_of_another_device_is_no_recipient() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        await with_shared_key(site)
        await site.register("pump-2")

        answer = await ask_for_key(
            site, by_code("pump-2", await site.code("pump-2")), to_shared_key(b"\x0a\x0b")
        )

        assert answer.status == 400
        assert not await site.certificates("pump-2")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("attributes", "finding"),
    [
        (to_shared_key(b"\x0a\x0b"), None),
        (
            to_shared_key(b"\x0a\x0b").replace(capabilities_attribute(*EVERYTHING), b""),
            "no_capabilities",
        ),
        (
            to_shared_key(b"\x0a\x0b").replace(capabilities_attribute(*EVERYTHING), b"")
            + to_certificate(b"\x01"),
            "two_recipients",
        ),
    ],
    ids=["good", "no capabilities", "two recipients"],
)
def test_est_K3_a_request_says_one_thing(attributes: bytes, finding: str | None) -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await with_shared_key(site)

        answer = await ask_for_key(site, ask, attributes)

        assert answer.status == (200 if finding is None else 400)
        assert (await site.attempts())[0].finding == finding

    asyncio.run(run())


@pytest.mark.parametrize("value", [b"\x02\x01\x05", b"\x04\x00", b"\x04\x41" + bytes(65)])
def test_est_K3_an_identifier_is_a_short_octet_string(value: bytes) -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await with_shared_key(site)
        named = attribute(DECRYPT_KEY_ID, value) + capabilities_attribute(*EVERYTHING)

        answer = await ask_for_key(site, ask, named)

        assert answer.status == 400
        await nothing_happened(site)

    asyncio.run(run())


ENCIPHERS = frozenset({KeyUsageBit.KEY_ENCIPHERMENT, KeyUsageBit.DIGITAL_SIGNATURE})
AGREES = frozenset({KeyUsageBit.KEY_AGREEMENT, KeyUsageBit.DIGITAL_SIGNATURE})


async def holder(site: Site, kind: str) -> Held:
    """Give a device a bootstrap certificate with a key of this kind."""
    await site.register()
    return await site.obtain(by_code("pump-1", await site.code(), key=a_key(kind)))


async def site_of(usage: frozenset[KeyUsageBit]) -> Site:
    """Open a site whose bootstrap certificates have this usage; keys are made for the other."""
    look: CertificateProfile = a_certificate_profile(key_usage=usage)
    profile = key_policy("operational").enrollment_profiles["operational"]
    return await open_site(a_policy(look, profile))


def test_est_K9_to_an_rsa_certificate_of_the_device() -> None:
    async def run() -> None:
        site = await site_of(ENCIPHERS)
        held = await holder(site, "rsa-2048")
        signer = x509.load_der_x509_certificate((await a_signer(site)).certificates[0])
        named = to_certificate(key_identifier(held.certificate))

        answer = Answer.of(await ask_for_key(site, by_certificate(held), named))

        info = recipient(answer)
        assert info.name == "ktri"
        assert info.chosen["version"].native == "v2"
        assert info.chosen["rid"].native == key_identifier(held.certificate)
        assert info.chosen["key_encryption_algorithm"]["algorithm"].native == "rsaes_oaep"
        assert isinstance(held.key, rsa.RSAPrivateKey)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        content_key = held.key.decrypt(info.chosen["encrypted_key"].native, oaep)
        assert len(content_key) == 32
        check_signed(opened(answer, content_key), answer, signer)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("capabilities", "wrap", "cipher"),
    [
        (EVERYTHING, "aes256_wrap", "aes256_cbc"),
        ((AES_128_WRAP, AES_128_CBC), "aes128_wrap", "aes128_cbc"),
        ((AES_128_WRAP,), "aes128_wrap", "aes256_cbc"),
    ],
)
def test_est_K9_to_an_ec_certificate_of_the_device(
    capabilities: tuple[bytes, ...], wrap: str, cipher: str
) -> None:
    async def run() -> None:
        site = await site_of(AGREES)
        held = await holder(site, "p-256")
        named = to_certificate(key_identifier(held.certificate), *capabilities)

        answer = Answer.of(await ask_for_key(site, by_certificate(held), named))

        info = recipient(answer)
        assert info.name == "kari"
        algorithm = info.chosen["key_encryption_algorithm"]
        assert algorithm["algorithm"].dotted == "1.3.132.1.11.1"
        assert (
            cms.KeyEncryptionAlgorithm.load(algorithm["parameters"].dump())["algorithm"].native
            == wrap
        )
        envelope = cms.ContentInfo.load(answer.key_octets)["content"]["encrypted_content_info"]
        assert envelope["content_encryption_algorithm"]["algorithm"].native == cipher
        (key,) = info.chosen["recipient_encrypted_keys"]
        named_by = key["rid"].chosen["subject_key_identifier"].native
        assert named_by == key_identifier(held.certificate)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "usage", "capabilities", "finding"),
    [
        ("p-256", {KeyUsageBit.DIGITAL_SIGNATURE}, EVERYTHING, "recipient_key_usage"),
        ("rsa-2048", {KeyUsageBit.DIGITAL_SIGNATURE}, EVERYTHING, "recipient_key_usage"),
        ("ed25519", AGREES, EVERYTHING, "recipient_key_usage"),
        ("rsa-2048", ENCIPHERS, (AES_256_CBC, AES_256_WRAP), "unsupported_algorithm"),
        ("p-256", AGREES, (AES_256_CBC, RSAES_OAEP), "unsupported_algorithm"),
    ],
)
def test_est_K10_what_may_not_be_encrypted_to_is_refused(
    kind: str, usage: set[KeyUsageBit], capabilities: tuple[bytes, ...], finding: str
) -> None:
    async def run() -> None:
        site = await site_of(frozenset(usage))
        held = await holder(site, kind)
        named = to_certificate(key_identifier(held.certificate), *capabilities)

        answer = await ask_for_key(site, by_certificate(held), named)

        assert answer.status == 400
        assert (await site.attempts())[0].finding == finding
        assert len(await site.certificates()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("bears_identifier", [True, False])
def test_est_K9_to_the_makers_certificate_at_its_first_use(bears_identifier: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async def run() -> None:
        profile = key_policy().enrollment_profiles["bootstrap"]
        site = await a_site(maker(), profile)
        key = a_key("rsa-2048")
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (some_key_usage(digital_signature=True, key_encipherment=True), True)
        ]
        if bears_identifier:
            extensions.append((own, False))
        leaf = idevid(key=key, extensions=tuple(extensions))
        held = Held(der=leaf.public_bytes(Encoding.DER), key=key)
        wish = third_party_ask(held=held)

        answer = Answer.of(await ask_for_key(site, wish, to_certificate(own.digest)))

        info = recipient(answer)
        assert info.name == "ktri"
        by_identifier = info.chosen["rid"].name == "subject_key_identifier"
        assert by_identifier is bears_identifier
        assert isinstance(key, rsa.RSAPrivateKey)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        content_key = key.decrypt(info.chosen["encrypted_key"].native, oaep)
        signer = x509.load_der_x509_certificate((await a_signer(site)).certificates[0])
        check_signed(opened(answer, content_key), answer, signer)

    asyncio.run(run())


def test_est_K9_a_registration_authority_is_no_recipient_of_a_devices_key() -> None:
    async def run() -> None:
        taken = frozenset({CredentialKind.RA})
        profile = key_policy().enrollment_profiles["bootstrap"]
        site = await a_site(
            maker(purpose=TrustPurpose.RA), replace(profile, initial_credentials=taken)
        )
        key = a_key("rsa-2048")
        usage = some_key_usage(digital_signature=True, key_encipherment=True)
        leaf = idevid(key=key, extensions=((usage, True), (x509.ExtendedKeyUsage([CMC_RA]), False)))
        held = Held(der=leaf.public_bytes(Encoding.DER), key=key)
        wish = third_party_ask(held=held, subject=a_name("pump-1"))
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())

        answer = await ask_for_key(site, wish, to_certificate(own.digest))

        assert answer.status == 400
        assert (await site.attempts())[0].finding == "recipient_unknown"
        await nothing_happened(site)

    asyncio.run(run())


def test_est_K9_a_certificate_that_ended_is_no_recipient() -> None:
    async def run() -> None:
        site = await site_of(AGREES)
        held = await holder(site, "p-256")
        device = await site.device()
        site.clock.advance(timedelta(days=400))
        _, made = await site.lifecycle.reset(device.device_id, "old", actor=OPERATOR)
        named = to_certificate(key_identifier(held.certificate))
        await site.change_policy(
            bootstrap={"est": key_policy().enrollment_profiles["bootstrap"].est}
        )

        answer = await ask_for_key(site, by_code("pump-1", made.clear), named)

        assert answer.status == 400
        assert (await site.attempts())[0].finding == "recipient_unknown"

    asyncio.run(run())


def test_security_C5_nothing_is_encrypted_to_a_compromised_key() -> None:
    async def run() -> None:
        site = await site_of(ENCIPHERS)
        held = await holder(site, "rsa-2048")
        est = key_policy().enrollment_profiles["bootstrap"].est
        await site.change_policy(bootstrap={"est": est})
        twin = await site.obtain(by_certificate(held, key=held.key))
        record = await site.record_of(twin)
        await site.lifecycle.revoke(record, RevocationReason.KEY_COMPROMISE, actor=OPERATOR)
        site.clock.advance(timedelta(minutes=1))
        named = to_certificate(key_identifier(held.certificate))

        answer = await ask_for_key(site, by_code("pump-1", await site.code()), named)

        assert answer.status == 400
        assert (await site.attempts())[0].finding == "recipient_compromised"

    asyncio.run(run())


def test_est_K11_without_a_signer_no_key_is_made() -> None:
    async def run() -> None:
        site = await open_site(key_policy())
        ask = await with_shared_key(site)
        csr = raw_csr(to_shared_key(b"\x0a\x0b"))

        answer = await post_for_key(site, ask, csr, channel=FixedCipher())

        assert answer.status == 503
        await nothing_happened(site)

    asyncio.run(run())
