"""EST's fullcmc: who is proven by a message, by its signer's certificate or by a shared secret."""

import asyncio
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.credentials import CredentialKind
from enroll.device import DeviceState
from enroll.options import ChallengePasswordRule, ESTOptions
from protocols.cmc.messages import PKI_DATA
from protocols.cms.signed_data import Signer, encode_signed_data
from server.appointment import Appointments
from tests.support.builders import TENANT, a_group, a_policy, an_enrollment_profile
from tests.support.cmc import (
    POP_LINK_RANDOM,
    Control,
    a_pki_data,
    crm,
    identification,
    identity_proof,
    identity_proof_v2,
    tcr,
    witness_v2,
)
from tests.support.crmf import a_crm
from tests.support.csr import Key, a_csr, a_name, attribute, raw_csr, sequence, spki_of, tlv
from tests.support.enrollment import (
    OPERATOR,
    Held,
    Site,
    a_new_key,
    open_site,
    renewal,
)
from tests.support.full_cmc import (
    a_message,
    answered,
    check_refused,
    key_identifier,
    on_a_site,
    send,
    serve_full_cmc,
    signed_by,
    signed_by_own_key,
    with_a_code,
)
from tests.support.third_party import BETWEEN, fingerprint_of, idevid, trust
from tests.support.third_party import a_site as a_site_that_trusts_a_maker

BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_IDENTITY, POP_FAILED = 1, 2, 7, 9


def _identifier(key: Key) -> bytes:
    return key_identifier(key).public_bytes()


def _proven(key: Key, controls: Callable[[bytes], list[Control]]) -> bytes:
    """Make a message by CRMF, signed by the new key, with controls over its request."""
    wanted = crm(a_crm(key, extensions=[key_identifier(key)]))
    content = a_pki_data(wanted, controls=[identification("pump-1"), *controls(wanted)])
    return signed_by_own_key(key, content)


def _linked(code: str, witness: bytes, random: bytes) -> bytes:
    """Make a message whose request holds a POP link witness."""
    key = a_new_key()
    extensions, controls = [key_identifier(key)], [("1.3.6.1.5.5.7.7.33", witness)]
    wanted = crm(a_crm(key, extensions=extensions, controls=controls))
    proof = [identification("pump-1"), identity_proof_v2(code, "pump-1", wanted)]
    if random:
        proof.append((POP_LINK_RANDOM, tlv(0x04, random)))
    return signed_by_own_key(key, a_pki_data(wanted, controls=proof))


def test_the_signers_certificate_may_be_that_of_the_connection() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        signer = Signer.holding(held.certificate, held.key)
        message = encode_signed_data(PKI_DATA, a_pki_data(tcr(renewal(held).csr)), signer=signer)

        answer = await send(site, message, held=held)

        assert answer.status == 200

    on_a_site(test)


def test_the_requests_own_key_signs_by_the_identifier_that_the_request_names() -> None:
    async def test(site: Site) -> None:
        await site.register()
        key, other = a_new_key(), a_new_key()
        named = crm(a_crm(key, extensions=[key_identifier(other)]))

        answer = await send(site, signed_by_own_key(key, a_pki_data(named)))

        await check_refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding="signer_unexpected")

    on_a_site(test)


def test_a_message_by_the_requests_own_key_proves_nobody_whatever_it_came_over() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        key = a_new_key()
        wanted = crm(a_crm(key, extensions=[key_identifier(key)]))

        answer = await send(site, signed_by_own_key(key, a_pki_data(wanted)), held=held)

        await check_refused(site, answer, 403, BAD_IDENTITY, 0, finding="no_credential")

    on_a_site(test)


def test_an_unproven_secret_is_not_made_good_by_the_connection() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        await site.change_policy(
            operational={"initial_credentials": frozenset({CredentialKind.OWN_CERTIFICATE})}
        )
        key = a_new_key()
        wanted = crm(a_crm(key, extensions=[key_identifier(key)]))
        proof = identity_proof_v2("guess", "pump-1", wanted)
        content = a_pki_data(wanted, controls=[identification("pump-1"), proof])

        answer = await send(site, signed_by_own_key(key, content), profile="operational", held=held)

        finding = "credential_not_accepted"
        await check_refused(site, answer, 403, BAD_IDENTITY, 101, finding=finding)

    on_a_site(test)


def test_the_connection_of_another_device_contradicts_the_signer() -> None:
    async def test(site: Site) -> None:
        held, other = await site.enroll(), await site.enroll("pump-2")

        answer = await send(site, a_message(renewal(held)), held=other)

        await check_refused(site, answer, 403, BAD_REQUEST, 1, finding="identity_conflict")

    on_a_site(test)


@pytest.mark.parametrize("proof", [identity_proof, identity_proof_v2])
def test_est_M1_a_wrong_secret_is_badIdentity(
    proof: Callable[[str, str, bytes], Control],
) -> None:
    async def test(site: Site) -> None:
        await with_a_code(site)
        message = _proven(a_new_key(), lambda wanted: [proof("AAAA", "pump-1", wanted)])

        answer = await send(site, message)

        await check_refused(site, answer, 403, BAD_IDENTITY, 101, finding="code_wrong")

    on_a_site(test)


@pytest.mark.parametrize("proof", [identity_proof, identity_proof_v2])
def test_est_M1_the_right_secret_proves_the_device_by_either_control(
    proof: Callable[[str, str, bytes], Control],
) -> None:
    async def test(site: Site) -> None:
        code = (await with_a_code(site)).code or ""
        message = _proven(a_new_key(), lambda wanted: [proof(code, "pump-1", wanted)])

        answer = await send(site, message)

        assert answer.status == 200
        assert len(await site.certificates()) == 1
        assert (await site.attempts())[0].operation == "fullcmc"

    on_a_site(test)


def test_a_proof_of_identity_for_another_request_proves_nothing() -> None:
    async def test(site: Site) -> None:
        code = (await with_a_code(site)).code or ""
        stolen = crm(a_crm(a_new_key()))
        message = _proven(a_new_key(), lambda _: [identity_proof_v2(code, "pump-1", stolen)])

        answer = await send(site, message)

        await check_refused(site, answer, 403, BAD_IDENTITY, 101, finding="code_wrong")

    on_a_site(test)


def test_a_proof_of_identity_needs_a_name_beside_it() -> None:
    async def test(site: Site) -> None:
        code = (await with_a_code(site)).code or ""
        key = a_new_key()
        wanted = crm(a_crm(key, extensions=[key_identifier(key)]))
        content = a_pki_data(wanted, controls=[identity_proof_v2(code, "", wanted)])

        answer = await send(site, signed_by_own_key(key, content))

        await check_refused(site, answer, 400, BAD_REQUEST, 100, finding="identity_unnamed")

    on_a_site(test)


RANDOM = b"r" * 64


def test_a_witness_links_identity_and_key() -> None:
    async def test(site: Site) -> None:
        code = (await with_a_code(site)).code or ""
        message = _linked(code, witness_v2(code, RANDOM), RANDOM)

        assert (await send(site, message)).status == 200

    on_a_site(test)


@pytest.mark.parametrize(
    ("of", "random"),
    [("AAAA", RANDOM), (None, b"another"), (None, b"")],
    ids=["secret", "random", "none"],
)
def test_a_witness_is_verified_or_refused(of: str | None, random: bytes) -> None:
    async def test(site: Site) -> None:
        code = (await with_a_code(site)).code or ""
        message = _linked(code, witness_v2(of or code, RANDOM), random)

        answer = await send(site, message)

        await check_refused(site, answer, 400, POP_FAILED, 1, finding="pop_unlinked")
        assert not await site.certificates()

    on_a_site(test)


def test_a_witness_in_a_pkcs10_request_is_verified_too() -> None:
    async def test(site: Site) -> None:
        code = (await with_a_code(site)).code or ""
        key = a_new_key()
        wanted = tcr(
            raw_csr(
                attribute(
                    "2a864886f70d01090e",
                    sequence(sequence(bytes.fromhex("0603551d0e"), tlv(0x04, _identifier(key)))),
                ),
                attribute("2b06010505070721", witness_v2("AAAA", RANDOM)),
                key=key,
                spki=spki_of(key),
            )
        )
        controls = [
            identification("pump-1"),
            identity_proof_v2(code, "pump-1", wanted),
            (POP_LINK_RANDOM, tlv(0x04, RANDOM)),
        ]

        answer = await send(site, signed_by_own_key(key, a_pki_data(wanted, controls=controls)))

        await check_refused(site, answer, 400, POP_FAILED, 1, finding="pop_unlinked")

    on_a_site(test)


def test_est_T15_a_registration_authority_signs_for_the_device_that_its_request_names() -> None:
    async def run() -> None:
        by_authority = frozenset({CredentialKind.ONE_TIME_CODE, CredentialKind.RA})
        profile = an_enrollment_profile(initial_credentials=by_authority)
        site = await open_site(a_policy(profile, a_group()))
        await serve_full_cmc(site)
        await site.register()
        key = a_new_key()
        appointments = Appointments(authority=site.authority, trust=trust(site), clock=site.clock)
        _, record = await appointments.appoint(
            a_csr(key), name="factory", tenant_id=TENANT, actor=OPERATOR, groups=(), profiles=()
        )
        wanted = tcr(a_csr(a_new_key(), subject=a_name("pump-1")))

        answer = await send(site, signed_by(Held(der=record.der, key=key), a_pki_data(wanted)))

        assert answer.status == 200
        assert len(await site.certificates()) == 1

    asyncio.run(run())


def test_a_makers_certificate_proves_the_device_that_it_names() -> None:
    async def run() -> None:
        site = await a_site_that_trusts_a_maker()
        await serve_full_cmc(site)
        key = a_new_key()
        leaf = idevid(key=key)
        signer = Signer.holding(leaf, key)
        chain = (leaf.public_bytes(Encoding.DER), BETWEEN.der)
        content = a_pki_data(tcr(a_csr(a_new_key(), subject=a_name("Pump"))))
        message = encode_signed_data(PKI_DATA, content, signer=signer, certificates=chain)

        answer = await send(site, message)

        assert answer.status == 200
        assert (await site.device()).state is DeviceState.REGISTERED
        assert (await site.attempts())[0].client_certificate_sha256 == fingerprint_of(leaf)

    asyncio.run(run())


def test_a_makers_certificate_of_another_device_is_refused() -> None:
    async def run() -> None:
        site = await a_site_that_trusts_a_maker()
        await serve_full_cmc(site)
        key = a_new_key()
        leaf = idevid("SN-2", key=key)
        content = a_pki_data(tcr(a_csr(a_new_key(), subject=a_name("Pump"))))
        message = encode_signed_data(
            PKI_DATA,
            content,
            signer=Signer.holding(leaf, key),
            certificates=(leaf.public_bytes(Encoding.DER), BETWEEN.der),
        )

        answer = await send(site, message)

        said = answered(answer)
        assert (answer.status, said.fail_info) == (403, BAD_REQUEST)

    asyncio.run(run())


def test_the_connection_of_another_device_contradicts_a_code_in_the_request() -> None:
    async def test(site: Site) -> None:
        other = await site.enroll("pump-2")
        ask = await with_a_code(site)
        by_code = ESTOptions(fullcmc=True, challenge_password=ChallengePasswordRule.CODE)
        both = frozenset({CredentialKind.OWN_CERTIFICATE, CredentialKind.ONE_TIME_CODE})
        await site.change_policy(bootstrap={"est": by_code, "renewal_credentials": both})
        csr = a_csr(
            ask.key,
            subject=ask.subject,
            extensions=[key_identifier(ask.key)],
            challenge_password=ask.code,
        )

        answer = await send(site, signed_by_own_key(ask.key, a_pki_data(tcr(csr))), held=other)

        await check_refused(site, answer, 403, BAD_REQUEST, 1, finding="identity_conflict")

    on_a_site(test)


def test_est_M1_a_wrong_proof_of_identity_is_refused_whatever_the_signer_proves() -> None:
    async def test(site: Site) -> None:
        ask = renewal(await site.enroll())
        wanted = tcr(ask.csr)
        proof = identity_proof_v2("guess", "pump-1", wanted)
        content = a_pki_data(wanted, controls=[identification("pump-1"), proof])
        assert ask.held is not None

        answer = await send(site, signed_by(ask.held, content))

        finding = "credential_not_accepted"
        await check_refused(site, answer, 403, BAD_IDENTITY, 101, finding=finding)

    on_a_site(test)


def test_est_M1_a_renewal_may_be_proven_by_signer_and_code_where_both_are_taken() -> None:
    async def test(site: Site) -> None:
        ask = renewal(await site.enroll())
        taken = frozenset({CredentialKind.OWN_CERTIFICATE, CredentialKind.ONE_TIME_CODE})
        await site.change_policy(bootstrap={"renewal_credentials": taken})
        wanted, code = tcr(ask.csr), await site.code()
        assert ask.held is not None
        answers = []
        for secret in ("guess", code):
            proof = identity_proof_v2(secret, "pump-1", wanted)
            content = a_pki_data(wanted, controls=[identification("pump-1"), proof])
            answers.append(await send(site, signed_by(ask.held, content)))

        assert [each.status for each in answers] == [403, 200]

    on_a_site(test)
