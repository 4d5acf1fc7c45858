"""What an answer is made of: its attributes, its envelope, who signs it, as others read them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from enroll.failures import FailureReason
from enroll.options import SCEPOptions
from enroll.request import EnrollmentRequest, PollRequest
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.digests import Digest
from protocols.scep.exchange import SealedExchange
from protocols.scep.handler import SCEPHandler
from protocols.scep.messages import RegistrationAuthority
from protocols.wire import WireResponse
from tests.support.builders import a_policy, an_enrollment_profile
from tests.support.csr import a_csr, a_key, sequence
from tests.support.enrollment import Held, Site, an_issuer, new_keys_are_rsa, open_site
from tests.support.fakes import START
from tests.support.openssl import make_request, openssl
from tests.support.scep import (
    NONCE,
    FixedServices,
    Message,
    a_pkcs_req,
    a_renewal,
    a_scep_wire,
    an_ra,
    opened_by,
    printable,
    read_answer,
    self_signed,
    send,
)

KEY = a_key("rsa-2048")
LEGACY = SCEPOptions(legacy=True)
ATTRIBUTES = {
    "content_type": "1.2.840.113549.1.9.3",
    "message_digest": "1.2.840.113549.1.9.4",
    "message_type": "2.16.840.1.113733.1.9.2",
    "pki_status": "2.16.840.1.113733.1.9.3",
    "fail_info": "2.16.840.1.113733.1.9.4",
    "sender_nonce": "2.16.840.1.113733.1.9.5",
    "recipient_nonce": "2.16.840.1.113733.1.9.6",
    "transaction_id": "2.16.840.1.113733.1.9.7",
    "fail_info_text": "1.3.6.1.5.5.7.24.1",
}
SUCCESS = set(ATTRIBUTES) - {"fail_info", "fail_info_text"}


async def a_site(options: SCEPOptions | None = None) -> tuple[Site, str]:
    """Open a site whose default profile has these options, and a device with a code."""
    profile = an_enrollment_profile("bootstrap", scep=options or SCEPOptions())
    site = await open_site(a_policy(profile))
    await site.register()
    return site, await site.code()


def attributes_of(answer: WireResponse) -> dict[str, core.Asn1Value]:
    """Read the signed attributes by asn1crypto, which knows nothing of ours."""
    (signer,) = asn1_cms.ContentInfo.load(answer.body, strict=True)["content"]["signer_infos"]
    names = {oid: name for name, oid in ATTRIBUTES.items()}
    found = {}
    for each in signer["signed_attrs"]:
        (value,) = each["values"]
        value = value.parsed if isinstance(value, core.Any) else value
        found[names[each["type"].dotted]] = value
    return found


def pem_files(folder: Path, held: Held) -> tuple[Path, Path]:
    certificate, key = folder / "held.pem", folder / "held.key"
    certificate.write_bytes(held.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key


def cipher_of(envelope: bytes) -> str:
    content_info = asn1_cms.ContentInfo.load(envelope, strict=True)["content"]
    algorithm = content_info["encrypted_content_info"]["content_encryption_algorithm"]
    return str(algorithm["algorithm"].native)


async def test_scep_48_a_success_has_all_attributes_and_no_failure() -> None:
    site, code = await a_site()

    answer = await send(site, a_pkcs_req(KEY, code).encode())

    found = attributes_of(answer)
    assert found.keys() == SUCCESS
    assert isinstance(found["message_type"], core.PrintableString)
    assert isinstance(found["pki_status"], core.PrintableString)
    assert (found["message_type"].native, found["pki_status"].native) == ("3", "0")
    assert found["recipient_nonce"].native == NONCE
    assert isinstance(found["sender_nonce"], core.OctetString)
    assert len(found["sender_nonce"].native) == 16
    assert found["transaction_id"].dump() == printable("t-1")
    assert found["content_type"].native == "data"


async def test_scep_32_a_failure_has_fail_info_and_text_and_no_envelope() -> None:
    site, _ = await a_site()

    answer = await send(site, a_pkcs_req(KEY, "wrong").encode())

    found = attributes_of(answer)
    assert found.keys() == set(ATTRIBUTES)
    assert isinstance(found["fail_info"], core.PrintableString)
    assert isinstance(found["fail_info_text"], core.UTF8String)
    assert (found["pki_status"].native, found["fail_info"].native) == ("2", "2")
    content = asn1_cms.ContentInfo.load(answer.body)["content"]["encap_content_info"]
    assert content["content"].native is None


async def test_scep_12_an_answer_is_not_to_be_kept() -> None:
    site, code = await a_site()

    answer = await send(site, a_pkcs_req(KEY, code).encode())

    assert answer.media_type == "application/x-pki-message"
    assert ("Cache-Control", "no-store") in answer.headers


async def test_scep_48_openssl_verifies_and_opens_a_success(tmp_path: Path) -> None:
    site, code = await a_site()
    certificate, key = pem_files(tmp_path, self_signed(KEY))
    anchors = tmp_path / "anchors.pem"
    issuer = an_issuer()
    chain = [x509.load_der_x509_certificate(each) for each in (issuer.der, *issuer.chain)]
    anchors.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))

    answer = await send(site, a_pkcs_req(KEY, code).encode())

    envelope = openssl(
        *("cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any"),
        *("-CAfile", anchors, "-attime", str(int(START.timestamp()))),
        given=answer.body,
    )
    opened = openssl(
        *("cms", "-decrypt", "-inform", "DER", "-binary", "-recip", certificate, "-inkey", key),
        given=envelope,
    )
    (sent,) = load_der_pkcs7_certificates(opened)
    assert f"{sent.serial_number:x}" == (await site.attempts())[0].serial_number


async def test_scep_31_the_chain_comes_along_only_where_the_profile_says_so() -> None:
    for with_chain, certificates in ((False, 1), (True, 3)):
        site, code = await a_site(SCEPOptions(chain_in_reply=with_chain))

        answer = await send(site, a_pkcs_req(KEY, code).encode())

        assert len(opened_by(read_answer(answer), self_signed(KEY))) == certificates


@pytest.mark.parametrize(
    ("cipher", "name"),
    [
        (ContentEncryption.AES_128_CBC, "aes128_cbc"),
        (ContentEncryption.AES_192_CBC, "aes192_cbc"),
        (ContentEncryption.AES_256_CBC, "aes256_cbc"),
    ],
)
@pytest.mark.parametrize("digest", [Digest.SHA256, Digest.SHA384, Digest.SHA512])
async def test_scep_34_the_answer_has_the_cipher_and_digest_of_the_message(
    cipher: ContentEncryption, name: str, digest: Digest
) -> None:
    site, code = await a_site()

    message = a_pkcs_req(KEY, code, content_encryption=cipher, digest=digest)
    reply = read_answer(await send(site, message.encode()))

    assert reply.digest_algorithm == digest.algorithm
    assert reply.envelope is not None
    assert cipher_of(reply.envelope) == name


@pytest.mark.parametrize("oaep", [Digest.SHA1, Digest.SHA256, Digest.SHA384, Digest.SHA512])
async def test_scep_36_oaep_is_taken_and_answered_with(oaep: Digest, tmp_path: Path) -> None:
    site, code = await a_site()
    certificate, key = pem_files(tmp_path, self_signed(KEY))

    reply = read_answer(await send(site, a_pkcs_req(KEY, code, oaep=oaep).encode()))

    assert reply.status == "0"
    assert reply.envelope is not None
    (recipient,) = asn1_cms.ContentInfo.load(reply.envelope)["content"]["recipient_infos"]
    algorithm = recipient.chosen["key_encryption_algorithm"]
    assert algorithm["algorithm"].native == "rsaes_oaep"
    openssl(
        *("cms", "-decrypt", "-inform", "DER", "-binary", "-recip", certificate, "-inkey", key),
        given=reply.envelope,
    )


async def test_scep_40_a_message_signed_by_rsassa_pss_enrolls() -> None:
    site, code = await a_site()

    reply = read_answer(await send(site, a_pkcs_req(KEY, code, pss=True).encode()))

    assert reply.status == "0"


@pytest.mark.parametrize("cipher", [ContentEncryption.DES_CBC, ContentEncryption.DES_EDE3_CBC])
async def test_scep_35_old_ciphers_are_bad_alg_where_the_profile_does_not_take_them(
    cipher: ContentEncryption,
) -> None:
    site, code = await a_site()

    message = a_pkcs_req(KEY, code, content_encryption=cipher)
    reply = read_answer(await send(site, message.encode()))

    assert (reply.status, reply.fail_info) == ("2", "0")
    assert (await site.attempts())[0].reason == FailureReason.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("cipher", [ContentEncryption.DES_CBC, ContentEncryption.DES_EDE3_CBC])
async def test_scep_34_a_legacy_profile_answers_single_des_with_triple_des(
    cipher: ContentEncryption,
) -> None:
    site, code = await a_site(LEGACY)

    message = a_pkcs_req(KEY, code, content_encryption=cipher, digest=Digest.SHA1)
    reply = read_answer(await send(site, message.encode()))

    assert reply.status == "0"
    assert reply.digest_algorithm == Digest.SHA1.algorithm
    assert reply.envelope is not None
    assert cipher_of(reply.envelope) == "tripledes_3key"


async def test_scep_21_a_legacy_profile_takes_a_request_that_is_signed_with_sha1(
    tmp_path: Path,
) -> None:
    # No builder signs with SHA-1 any more, so openssl does.
    _, key = pem_files(tmp_path, self_signed(KEY))

    for options, status, fail_info in ((LEGACY, "0", None), (SCEPOptions(), "2", "0")):
        site, code = await a_site(options)
        path = tmp_path / "request.der"
        make_request(path, key, challenge_password=code, options=("-sha1",))
        message = replace(a_pkcs_req(KEY), content=path.read_bytes())

        reply = read_answer(await send(site, message.encode()))

        assert (reply.status, reply.fail_info) == (status, fail_info)


async def test_scep_43_sha1_does_not_renew_unless_the_profile_says_so() -> None:
    for renewals, status, fail_info in ((False, "2", "0"), (True, "0", None)):
        with new_keys_are_rsa():
            site, _ = await a_site(SCEPOptions(legacy=True, sha1_renewals=renewals))
            held = await site.enroll("pump-2")
            new_key = a_key("rsa-2048", 299)

            message = a_renewal(held, new_key, digest=Digest.SHA1)
            reply = read_answer(await send(site, message.encode()))

        assert (reply.status, reply.fail_info) == (status, fail_info)


async def test_scep_42_a_client_with_an_ec_key_is_answered_under_its_challenge() -> None:
    site, code = await a_site()
    key = ec.generate_private_key(ec.SECP256R1())
    message = Message(signer=self_signed(key), content=a_csr(key, challenge_password=code))

    reply = read_answer(await send(site, message.encode()))

    assert reply.status == "0"
    assert reply.envelope is not None
    opened = openssl(
        *("cms", "-decrypt", "-inform", "DER", "-binary", "-pwri_password", code),
        given=reply.envelope,
    )
    (sent,) = load_der_pkcs7_certificates(opened)
    assert sent.public_key() == key.public_key()


async def test_scep_42_without_a_way_to_encrypt_nothing_is_issued() -> None:
    site = await open_site()
    held = await site.enroll()
    before = len(await site.certificates())

    message = a_renewal(held, ec.generate_private_key(ec.SECP256R1()))
    reply = read_answer(await send(site, message.encode()))

    assert (reply.status, reply.fail_info) == ("2", "2")
    assert reply.text == "There is no way to encrypt an answer to this key."
    assert len(await site.certificates()) == before


async def test_scep_8_the_answer_is_signed_by_the_ra_that_the_message_was_sealed_to() -> None:
    services = FixedServices(authorities=(an_ra(1), an_ra()))
    for ra in (an_ra(1), an_ra()):
        site, code = await a_site()

        message = a_pkcs_req(KEY, code, ra=ra)
        reply = read_answer(await send(site, message.encode(), services=services))

        assert reply.status == "0"
        assert reply.signer == ra.certificate


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("kind", [17, 18, 19, 20, 21, 22])
async def test_scep_8_and_56_a_refusal_too_is_signed_by_the_ra_that_the_message_was_sealed_to(
    kind: int, number: int
) -> None:
    site, _ = await a_site()
    authorities = (an_ra(), an_ra(1))
    ra, services = authorities[number], FixedServices(authorities=authorities)
    sealed = a_pkcs_req(KEY, kind=kind, ra=ra)
    unreadable = replace(sealed, content=b"\x30\x00")
    weak = replace(sealed, content_encryption=ContentEncryption.DES_EDE3_CBC)

    for message in (sealed, unreadable, weak):
        reply = read_answer(await send(site, message.encode(), services=services))

        assert reply.status == "2"
        assert reply.signer == ra.certificate


async def test_scep_8_what_names_no_ra_of_ours_is_refused_by_the_present_one() -> None:
    site, _ = await a_site()
    services = FixedServices(authorities=(an_ra(), an_ra(1)))

    for spoiled in (b"\x30\x00", b"\x30", b""):
        message = a_pkcs_req(KEY, spoil=lambda _, to=spoiled: to)
        reply = read_answer(await send(site, message.encode(), services=services))

        assert (reply.status, reply.signer) == ("2", an_ra().certificate)


@pytest.mark.parametrize("named_by", [(), ("-keyid",)], ids=["issuer and serial", "key id"])
async def test_scep_37_of_several_recipients_ours_is_taken_by_either_name(
    named_by: tuple[str, ...], tmp_path: Path
) -> None:
    site, code = await a_site()
    plain = a_pkcs_req(KEY, code)
    sealed = sealed_to(tmp_path, plain, [an_ra(1), an_ra(), an_ra(2)], *named_by)

    reply = read_answer(await send(site, replace(plain, spoil=lambda _: sealed).encode()))

    assert reply.status == "0"


async def test_scep_37_a_message_for_others_is_refused(tmp_path: Path) -> None:
    site, code = await a_site()
    plain = a_pkcs_req(KEY, code)
    sealed = sealed_to(tmp_path, plain, [an_ra(1), an_ra(2)])

    reply = read_answer(await send(site, replace(plain, spoil=lambda _: sealed).encode()))

    assert (reply.status, reply.fail_info) == ("2", "2")
    assert (await site.attempts())[0].finding == "envelope_not_for_us"


async def test_scep_38_an_envelope_in_ber_is_opened(tmp_path: Path) -> None:
    site, code = await a_site()
    plain = a_pkcs_req(KEY, code)
    sealed = sealed_to(tmp_path, plain, [an_ra()], "-stream")
    assert b"\x30\x80" in sealed

    reply = read_answer(await send(site, replace(plain, spoil=lambda _: sealed).encode()))

    assert reply.status == "0"


def sealed_to(
    folder: Path, plain: Message, recipients: Sequence[RegistrationAuthority], *options: str
) -> bytes:
    """Seal the content of a message by openssl."""
    words: list[str | Path] = ["-encrypt", "-outform", "DER", "-binary", "-aes-128-cbc", *options]
    for number, each in enumerate(recipients):
        path = folder / f"{number}.pem"
        path.write_bytes(each.certificate.public_bytes(Encoding.PEM))
        words.append(path)
    return openssl("cms", *words, given=plain.content)


@pytest.mark.parametrize("kind", [19, 20])
@pytest.mark.parametrize("issuer", [None, "issuing-2"])
def test_scep_56_the_ra_that_a_message_is_sealed_to_says_which_ca_is_to_issue(
    kind: int, issuer: str | None
) -> None:
    sealed_to = replace(an_ra(1), issuer=issuer)
    content = a_csr(KEY) if kind == 19 else sequence(sequence(), sequence())
    message = a_pkcs_req(KEY, kind=kind, content=content, ra=sealed_to)

    exchange = SCEPHandler(FixedServices(authorities=(an_ra(), sealed_to))).receive(
        a_scep_wire(body=message.encode())
    )

    assert isinstance(exchange, SealedExchange)
    assert isinstance(exchange.request, EnrollmentRequest | PollRequest)
    assert exchange.request.issuer == issuer
