"""What SCEP leaves to the pipeline, and what it tells of that."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.scep.failures import FAILURES, REFUSED, word
from protocols.scep.messages import FailInfo
from tests.support.approvals import a_manual_group, approve
from tests.support.builders import a_policy, an_enrollment_profile
from tests.support.csr import a_csr, a_key, a_name, sequence
from tests.support.enrollment import Site, new_keys_are_rsa, open_site
from tests.support.scep import (
    CertRep,
    Message,
    a_pkcs_req,
    a_renewal,
    a_scep_wire,
    an_endpoint,
    opened_by,
    read_answer,
    self_signed,
    send,
)

KEY = a_key("rsa-2048")
# The SCEP column of the table of failures.
FAIL_INFO = {
    FailureReason.MALFORMED_REQUEST: 2,
    FailureReason.BAD_MESSAGE_CHECK: 1,
    FailureReason.UNSUPPORTED_ALGORITHM: 0,
    FailureReason.BAD_TIME: 3,
    FailureReason.BAD_PROOF_OF_POSSESSION: 2,
    FailureReason.NOT_AUTHENTICATED: 2,
    FailureReason.SIGNER_NOT_TRUSTED: 2,
    FailureReason.UNKNOWN_DEVICE: 2,
    FailureReason.NOT_AUTHORIZED: 2,
    FailureReason.BAD_CERTIFICATE_TEMPLATE: 2,
    FailureReason.UNACCEPTED_EXTENSION: 2,
    FailureReason.CERTIFICATE_UNKNOWN: 4,
    FailureReason.CERTIFICATE_REVOKED: 2,
    FailureReason.TRANSACTION_CONFLICT: 2,
    FailureReason.RATE_LIMITED: 2,
    FailureReason.CA_UNAVAILABLE: 2,
    FailureReason.INTERNAL: 2,
}


def a_rejection(reason: FailureReason, **details: object) -> Rejected:
    made = Rejected(
        reason=reason, correlation_id="c0ffee", detail="the operator's own business", finding="f"
    )
    return replace(made, **details)  # type: ignore[arg-type]  # a test's words


async def asked(site: Site, message: Message, path: str = "") -> CertRep:
    return read_answer(await send(site, message.encode(), path))


@pytest.mark.parametrize("reason", FailureReason)
def test_scep_33_every_reason_has_a_fail_info(reason: FailureReason) -> None:
    fail_info, text = word(a_rejection(reason))

    assert fail_info is FailInfo(FAIL_INFO[reason])
    assert text.isascii()
    assert "operator" not in text
    assert FAILURES.keys() == set(FailureReason)


def test_an_error_of_ours_gives_its_correlation_id() -> None:
    _, text = word(a_rejection(FailureReason.INTERNAL))

    assert "c0ffee" in text


@pytest.mark.parametrize(
    "reason", [FailureReason.NOT_AUTHENTICATED, FailureReason.BAD_PROOF_OF_POSSESSION]
)
def test_scep_33_whoever_proved_nothing_is_told_no_field(reason: FailureReason) -> None:
    _, text = word(a_rejection(reason, field="publicKey", finding="renewal_too_early"))

    assert text == REFUSED


async def test_scep_23_a_renewal_that_comes_too_early_is_told_so() -> None:
    with new_keys_are_rsa():
        site = await open_site(a_policy(an_enrollment_profile("bootstrap", allow_replace=False)))
        held = await site.enroll()

    reply = await asked(site, a_renewal(held))

    assert (reply.status, reply.fail_info) == ("2", "2")
    assert reply.text == "It is too early to renew."


async def test_scep_23_a_renewal_with_the_old_key_is_refused_naming_it() -> None:
    with new_keys_are_rsa():
        site = await open_site()
        held = await site.enroll()

    reply = await asked(site, a_renewal(held, held.key))

    assert (reply.status, reply.fail_info) == ("2", "2")
    assert (reply.text or "").endswith("Field: publicKey.")


async def test_scep_44_names_come_from_the_registry_whatever_the_request_asks() -> None:
    site = await open_site()
    await site.register(serial_number="SN-1")
    csr = a_csr(
        KEY,
        subject=a_name("anything"),
        names=[x509.DNSName("www.example.org")],
        extensions=[x509.BasicConstraints(ca=True, path_length=None)],
        challenge_password=await site.code(),
    )

    reply = await asked(site, replace(a_pkcs_req(KEY), content=csr))

    (sent,) = opened_by(reply, self_signed(KEY))
    names = sent.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sent.subject.rfc4514_string() == "2.5.4.5=SN-1,CN=pump-1"
    assert names.get_values_for_type(x509.DNSName) == []
    assert not sent.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


async def test_scep_51_a_request_without_a_subject_gets_the_registrys() -> None:
    site = await open_site()
    await site.register()
    csr = a_csr(KEY, subject=x509.Name([]), challenge_password=await site.code())

    reply = await asked(site, replace(a_pkcs_req(KEY), content=csr))

    (sent,) = opened_by(reply, self_signed(KEY))
    assert sent.subject == a_name("pump-1")


async def test_scep_59_a_tls_client_certificate_does_not_replace_the_challenge() -> None:
    site = await open_site()
    held = await site.enroll()
    endpoint = await an_endpoint(site)
    wire = replace(a_scep_wire(body=a_pkcs_req(KEY).encode()), peer_chain=(held.der,))

    reply = read_answer(await endpoint(wire))

    assert (reply.status, reply.fail_info, reply.text) == ("2", "2", REFUSED)
    assert (await site.attempts())[0].finding == "no_credential"


async def test_scep_58_what_waits_for_a_person_holds_no_challenge() -> None:
    site = await open_site(a_policy(a_manual_group()))
    await site.register()
    code = await site.code()

    await asked(site, a_pkcs_req(KEY, code))

    (order,) = await site.orders(pending_only=True)
    assert order.wish is not None
    assert code.encode() not in order.wish.der
    assert code not in repr(order)


async def test_scep_58_an_ec_client_that_waited_sends_its_challenge_once_more() -> None:
    site = await open_site(a_policy(a_manual_group()))
    await site.register()
    code, key = await site.code(), ec.generate_private_key(ec.SECP256R1())
    signer = self_signed(key)
    message = Message(signer=signer, content=a_csr(key, challenge_password=code))
    subjects = sequence(a_name("CA").public_bytes(), a_name().public_bytes())
    waiting = await asked(site, message)
    await approve(site)

    polled = await asked(site, replace(message, content=subjects, kind=20))
    repeated = await asked(site, message)

    assert waiting.status == "3"
    assert polled.text == "There is no way to encrypt an answer to this key."
    assert repeated.status == "0"
    assert len(await site.certificates()) == 1


async def test_scep_22_a_bootstrap_certificate_enrolls_for_the_operational_slot() -> None:
    for kind in (17, 19):
        with new_keys_are_rsa():
            site = await open_site()
            held = await site.enroll()

        reply = await asked(site, a_renewal(held, kind=kind), "operational")

        assert reply.status == "0"
        assert {each.profile for each in await site.certificates()} == {"operational", "bootstrap"}


async def test_scep_22_a_certificate_renews_itself_by_either_message() -> None:
    for kind in (17, 19):
        with new_keys_are_rsa():
            site = await open_site()
            held = await site.enroll()

        reply = await asked(site, a_renewal(held, kind=kind))

        (sent,) = opened_by(reply, held)
        known = {each.der for each in await site.certificates()}
        assert known == {held.der, sent.public_bytes(Encoding.DER)}
        assert len(known) == 2
