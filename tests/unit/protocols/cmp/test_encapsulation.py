"""KEM-based MACs: the one unprotected question, and what may follow it."""

import hashlib
import hmac
import os
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ
from pyasn1_alt_modules import rfc9810

from enroll.key_generation import MadePrivateKey
from enroll.options import CMPOptions
from enroll.options import GeneratedKeyAlgorithm as G
from enroll.profiles import Approval, KeyAlgorithm
from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name, encode_message
from protocols.cmp.messages import BodyType
from protocols.cmp.protection import verify_signature
from tests.support.builders import a_certificate_profile, a_group
from tests.support.cmp import HMAC_SHA256, a_header, a_message, integer
from tests.support.cmp_conversation import (
    FAIL_INFO,
    Answered,
    Client,
    a_message_signer,
    by_held,
    content_of,
    read,
)
from tests.support.cmp_keys import (
    USAGES,
    a_client,
    ask_for_key,
    certificate_in,
    has_key,
    key_policy,
    keyless,
)
from tests.support.csr import a_name, sequence, tlv
from tests.support.enrollment import Held, Site, by_certificate, open_site
from tests.support.registries import store

HKDF_SHA256 = sequence(bytes.fromhex("060b2a864886f70d010910031c"))
KEM_CIPHERTEXT_INFO = bytes.fromhex("06082b06010505070418")
QUESTION = sequence(sequence(KEM_CIPHERTEXT_INFO))
KEM = CMPOptions(kem_protection=True)
ENDS = ("bootstrap", "operational")


class KnownKeys:
    """A generator whose keys the test knows."""

    def __init__(self) -> None:
        self.key = mlkem.MLKEM768PrivateKey.generate()

    async def make(self, algorithm: KeyAlgorithm, device_id: str) -> MadePrivateKey:
        del algorithm, device_id
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class KEMMAC:
    """A protection as RFC 9810 §5.1.3.4 has it, made with the standard library and pyasn1."""

    secret: bytes
    transaction_id: bytes
    kdf: bytes = HKDF_SHA256
    octets: int = 32
    context: bytes | None = None
    mac: bytes = HMAC_SHA256

    @property
    def algorithm(self) -> bytes:
        context = tlv(0xA0, tlv(0x04, self.context)) if self.context is not None else b""
        parameters = sequence(self.kdf, context, integer(self.octets), self.mac)
        decoded, rest = decoder.decode(parameters, asn1Spec=rfc9810.KemBMParameter())
        assert not rest
        oid = bytes.fromhex("06092a864886f67d074210")
        return sequence(oid, bytes(encoder.encode(decoded)))

    def protect(self, octets: bytes) -> bytes:
        info = rfc9810.KemOtherInfo()
        info["staticString"].append("CMP-KEM")
        info["transactionID"] = self.transaction_id
        if self.context is not None:
            info["kemContext"] = self.context
        extracted = hmac.digest(bytes(32), self.secret, "sha256")
        key, block = b"", b""
        while len(key) < self.octets:
            number = bytes((len(key) // 32 + 1,))
            block = hmac.digest(extracted, block + encoder.encode(info) + number, "sha256")
            key += block
        return hmac.digest(key[: self.octets], octets, "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A device with a certificate for ML-KEM, and the key of it."""

    certificate: x509.Certificate
    key: mlkem.MLKEM768PrivateKey

    def client(self, site: Site, profile: str = "operational") -> Client:
        return Client(
            site=site,
            protection=KEMMAC(secret=bytes(32), transaction_id=b""),
            header=a_header(
                pvno=3,
                sender=directory_name(self.certificate.subject.public_bytes()),
                sender_kid=self.certificate.extensions.get_extension_for_class(
                    x509.SubjectKeyIdentifier
                ).value.digest,
                transaction_id=os.urandom(16),
            ),
            path=f"p/{profile}",
            extra_certs=(self.certificate.public_bytes(Encoding.DER),),
            form=rfc9810,
        )


async def a_site(*parts: object, cmp: CMPOptions = KEM) -> tuple[Site, Owner]:
    """Open a site with a device that has an ML-KEM key and its certificate."""
    everything = (
        a_certificate_profile(each, key_algorithms=frozenset(KeyAlgorithm), key_usage=USAGES)
        for each in ENDS
    )
    policy = key_policy(*everything, *parts, made=(G.ML_KEM_768,), cmp=cmp)  # type: ignore[arg-type]  # parts of a policy
    site = await open_site(policy)
    site.key_generator = generator = KnownKeys()
    client = await a_client(site)
    given = await ask_for_key(client)
    await client.confirm()
    return site, Owner(certificate=certificate_in(given), key=generator.key)


async def ask_for_ciphertext(client: Client, content: bytes = QUESTION) -> Answered:
    header = replace(client.header, sender_nonce=os.urandom(16))
    message = encode_message(
        header, tlv(BodyType.GENM.tag, content), None, extra_certs=client.extra_certs
    )
    client.heard = read(await client.post(message), rfc9810)
    return client.heard


async def agreed(client: Client, owner: Owner, **changes: object) -> Client:
    """Ask for a ciphertext, and protect with what is in it from now on."""
    answer = await ask_for_ciphertext(client)
    assert answer.kind is BodyType.GENP
    (info,) = answer.body
    value = bytes(info["infoValue"])
    found, rest = decoder.decode(value, asn1Spec=rfc9810.KemCiphertextInfo())
    assert not rest
    assert found["kem"]["algorithm"] == univ.ObjectIdentifier("2.16.840.1.101.3.4.4.2")
    mac = KEMMAC(
        secret=owner.key.decapsulate(bytes(found["ct"])),
        transaction_id=client.header.transaction_id or b"",
    )
    client.protection = replace(mac, **changes)  # type: ignore[arg-type]  # a test's words
    return client


def a_request(owner: Owner) -> bytes:
    held = Held(der=owner.certificate.public_bytes(Encoding.DER), key=None)  # type: ignore[arg-type]  # it signs nothing
    return content_of(by_certificate(held, subject=a_name("pump-1")))


def check_refused(answer: Answered, fail_info: str) -> None:
    assert answer.kind is BodyType.ERROR
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})
    verify_signature(decode(answer.octets), a_message_signer().certificate)


async def test_cmp_P6_where_it_is_off_nothing_unprotected_is_answered() -> None:
    site, owner = await a_site(cmp=CMPOptions())
    client = owner.client(site)

    asked = await ask_for_ciphertext(client)
    sent = await client.send(BodyType.CR, a_request(owner))

    check_refused(asked, "badMessageCheck")
    check_refused(sent, "badAlg")


@pytest.mark.parametrize(
    "content",
    [
        sequence(),
        sequence(sequence(KEM_CIPHERTEXT_INFO, b"\x05\x00")),
        sequence(sequence(KEM_CIPHERTEXT_INFO), sequence(KEM_CIPHERTEXT_INFO)),
        sequence(sequence(bytes.fromhex("06082b06010505070411"))),
    ],
)
async def test_cmp_P6_and_P11_no_other_question_is_answered_unprotected(content: bytes) -> None:
    site, owner = await a_site()

    answer = await ask_for_ciphertext(owner.client(site), content)

    check_refused(answer, "badMessageCheck")


async def test_cmp_P6_a_certificate_without_such_a_key_gets_no_ciphertext() -> None:
    site, _ = await a_site()
    await site.register("pump-2")
    held = await site.enroll("pump-3")
    client = by_held(site, held)
    client.form = rfc9810

    answer = await ask_for_ciphertext(client)

    check_refused(answer, "badMessageCheck")


async def test_cmp_P6_nothing_in_extra_certs_gets_no_ciphertext() -> None:
    site, owner = await a_site()
    client = owner.client(site)
    client.extra_certs = ()

    check_refused(await ask_for_ciphertext(client), "badMessageCheck")


@pytest.mark.parametrize("strict", [False, True])
async def test_cmp_P6_a_device_is_proven_by_what_was_encapsulated_to_it(*, strict: bool) -> None:
    ages = timedelta(days=36500)
    site, owner = await a_site(cmp=replace(KEM, strict=strict, message_time_window=ages))
    client = await agreed(owner.client(site), owner)

    client.heard = given = await client.send(BodyType.CR, a_request(owner))
    confirmed = await client.confirm()

    assert (given.kind, given.status) == (BodyType.CP, 0)
    assert confirmed.kind is BodyType.PKICONF
    assert (await site.certificates())[0].confirmed_at is not None
    verify_signature(decode(given.octets), a_message_signer().certificate)


async def test_cmp_P6_a_key_is_made_for_who_has_a_kem_key_and_encrypted_to_it() -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner)
    site.key_generator = KnownKeys()

    given = await client.send(BodyType.CR, keyless())

    assert has_key(given)


async def test_cmp_P6_an_exchange_goes_on_through_a_person() -> None:
    site, owner = await a_site()
    await store(site.registry, lambda uow: uow.policy.put_group(a_group(approval=Approval.MANUAL)))
    client = await agreed(owner.client(site), owner)
    content = sequence(sequence(integer(0)))
    client.heard = waiting = await client.send(BodyType.CR, a_request(owner))
    client.heard = still = await client.send(BodyType.POLL_REQ, content)
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor="cli:other")
    site.clock.advance(timedelta(hours=2))

    client.heard = given = await client.send(BodyType.POLL_REQ, content)
    confirmed = await client.confirm()

    assert (waiting.status, still.kind) == (3, BodyType.POLL_REP)
    assert (given.kind, given.status) == (BodyType.CP, 0)
    assert confirmed.kind is BodyType.PKICONF


@pytest.mark.parametrize("change", [{"secret": bytes(32)}, {"transaction_id": b"another"}])
async def test_cmp_P6_another_secret_does_not_hold(change: dict[str, object]) -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner, **change)

    check_refused(await client.send(BodyType.CR, a_request(owner)), "badMessageCheck")


async def test_cmp_P6_a_context_that_is_told_is_taken() -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner, context=b"of its own", octets=64)

    answer = await client.send(BodyType.CR, a_request(owner))

    assert (answer.kind, answer.status) == (BodyType.CP, 0)


async def test_cmp_P6_a_ciphertext_is_for_one_transaction_certificate_and_hour() -> None:
    site, owner = await a_site()
    other = await agreed(owner.client(site), owner)
    client = await agreed(owner.client(site), owner)
    late = await agreed(owner.client(site), owner)

    other.header = replace(other.header, transaction_id=client.header.transaction_id)
    check_refused(await other.send(BodyType.CR, a_request(owner)), "badMessageCheck")
    check_refused(
        await client.send(BodyType.CR, a_request(owner), recip_nonce=None), "badMessageCheck"
    )
    check_refused(
        await client.send(BodyType.CR, a_request(owner), recip_nonce=bytes(128)),
        "badMessageCheck",
    )
    site.clock.advance(timedelta(hours=2))
    check_refused(await late.send(BodyType.CR, a_request(owner)), "badMessageCheck")


async def test_cmp_P6_a_node_whose_clock_is_behind_takes_what_another_gave() -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner)
    site.clock.advance(-timedelta(seconds=20))

    given = await client.send(BodyType.CR, a_request(owner))

    assert (given.kind, given.status) == (BodyType.CP, 0)


@pytest.mark.parametrize(
    ("change", "fail_info"),
    [
        ({"kdf": sequence(bytes.fromhex("06092a864886f70d01050c"))}, "badAlg"),
        ({"octets": 1}, "badAlg"),
        ({"octets": 65}, "badAlg"),
        ({"mac": sequence(bytes.fromhex("0609608648016503040213"))}, "badAlg"),
    ],
)
async def test_cmp_P6_parameters_that_are_not_served_are_bad_alg(
    change: dict[str, object], fail_info: str
) -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner, **change)

    check_refused(await client.send(BodyType.CR, a_request(owner)), fail_info)


@pytest.mark.parametrize(
    "parameters",
    [
        b"",
        b"\x05\x00",
        tlv(0x04, b"\x30\x85 no DER"),
        sequence(),
        sequence(integer(1)),
        sequence(HKDF_SHA256),
    ],
)
async def test_security_P14_parameters_of_a_kem_mac_of_another_form_are_refused(
    parameters: bytes,
) -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner)
    client.protection = Fixed(sequence(bytes.fromhex("06092a864886f67d074210"), parameters))

    check_refused(await client.send(BodyType.CR, a_request(owner)), "badDataFormat")


@dataclass(frozen=True, slots=True)
class Fixed:
    algorithm: bytes

    def protect(self, octets: bytes) -> bytes:
        return hashlib.sha256(octets).digest()


async def test_cmp_N1_a_nested_message_under_the_mac_of_a_kem_is_refused() -> None:
    site, owner = await a_site()
    client = await agreed(owner.client(site), owner)
    within = a_message(BodyType.CR, a_request(owner), client.header)

    answer = await client.send(BodyType.NESTED, sequence(within))

    check_refused(answer, "wrongIntegrity")
