"""EST's fullcmc: what is taken, what is refused in which words, and what is given back."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from cryptography import x509
from multidict import CIMultiDict
from pyasn1.codec.der import encoder

from enroll.credentials import CredentialKind, SharedSecretMAC
from enroll.failures import FailureReason
from enroll.result import Pending, Rejected
from protocols.cmc.messages import PKI_DATA
from protocols.cms.signed_data import Signer, encode_signed_data
from protocols.est.full_cmc import FullCMC, FullCMCExchange
from protocols.limits import DEFAULT_LIMITS
from protocols.wire import TransportFault, WireResponse
from tests.support.cmc import (
    DATA_RETURN,
    POP_LINK_RANDOM,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    Control,
    a_pki_data,
    control,
    crm,
    identification,
    identity_proof,
    identity_proof_v2,
    integer,
    orm,
    raw_pki_data,
    tcr,
    witness_v2,
)
from tests.support.crmf import a_cert_request, a_crm
from tests.support.csr import Key, a_csr, attribute, raw_csr, sequence, spki_of, tlv
from tests.support.enrollment import (
    Ask,
    Held,
    Site,
    a_new_key,
    by_certificate,
    by_code,
    open_site,
    renewal,
)
from tests.support.est import endpoint
from tests.support.full_cmc import (
    CERTS_ONLY,
    CMC_REQUEST,
    a_message,
    a_responder,
    answered,
    certificates,
    key_identifier,
    post,
    self_signed,
    send,
    serve_full_cmc,
    signed_by,
    signed_by_own_key,
)
from tests.support.wire import a_wire

NONCE = tlv(0x04, b"nonce of the client")
HEARD: list[Control] = [
    (TRANSACTION_ID, integer(4711)),
    (SENDER_NONCE, NONCE),
    (DATA_RETURN, tlv(0x04, b"data")),
]
BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_IDENTITY = 0, 1, 2, 7
POP_REQUIRED, POP_FAILED, TRY_LATER = 8, 9, 12


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


async def _exchange(site: Site, message: bytes) -> FullCMCExchange:
    """Have a message received, and not decided yet."""
    responder = await a_responder()
    est = FullCMC(responder=lambda: responder, limits=DEFAULT_LIMITS)
    wire = a_wire("fullcmc", body=b64encode(message), headers={"Content-Type": CMC_REQUEST})
    return est.receive(wire, site.origin(by_code("pump-1", "")))


def on_a_site(test: Callable[[Site], Awaitable[None]]) -> None:
    async def run() -> None:
        site = await open_site()
        await serve_full_cmc(site)
        await test(site)

    asyncio.run(run())


async def _refused(
    site: Site, answer: WireResponse, status: int, info: int, *parts: int, finding: str
) -> None:
    said = answered(answer)
    attempt = (await site.attempts())[0]
    assert (answer.status, said.status, said.fail_info, said.body_parts) == (
        status,
        2,
        info,
        parts,
    ), attempt.detail
    assert attempt.finding == finding
    assert attempt.operation == "fullcmc"
    assert said.words is not None
    assert "c0ffee" in said.words
    assert len(await site.certificates()) <= 1


async def _coded(site: Site) -> Ask:
    await site.register()
    return by_code("pump-1", await site.code())


def test_est_M2_fullcmc_is_not_there_where_it_is_off() -> None:
    async def run() -> None:
        site = await open_site()
        answer = await post(site, await _coded(site))

        assert answer.status == 404
        assert answer.media_type.startswith("text/plain")

    asyncio.run(run())


def test_est_M2_a_profile_reached_by_its_certificate_must_serve_it_too() -> None:
    async def test(site: Site) -> None:
        held = (await site.provision())[1]
        known = (await site.policy()).enrollment_profiles["operational"]
        off = replace(known.est, fullcmc=False)
        await site.change_policy(operational={"est": off})

        answer = await post(site, renewal(held))

        said = answered(answer)
        assert (answer.status, said.fail_info) == (403, BAD_REQUEST)
        assert (await site.attempts())[0].finding == "operation_off"

    on_a_site(test)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/pkcs10",
        "application/pkcs7-mime",
        "application/pkcs7-mime; smime-type=certs-only",
        "application/pkcs7-mime; smime-type=CMC-response",
        "application/cmc; smime-type=CMC-request",
        "",
    ],
)
def test_est_M1_another_content_type_is_refused(media_type: str) -> None:
    async def test(site: Site) -> None:
        message = a_message(await _coded(site))

        answer = await send(site, message, media_type=media_type)

        said = answered(answer)
        assert (answer.status, said.status, said.fail_info) == (415, 2, BAD_REQUEST)
        assert CIMultiDict(answer.headers)["Accept"] == CMC_REQUEST

    on_a_site(test)


@pytest.mark.parametrize(
    "media_type",
    [
        'APPLICATION/pkcs7-mime;smime-type="cmc-REQUEST"',
        "application/pkcs7-mime; name=smime.p7m; smime-type = CMC-request",
    ],
)
def test_est_M1_its_content_type_is_known_however_it_is_written(media_type: str) -> None:
    async def test(site: Site) -> None:
        answer = await send(site, a_message(await _coded(site)), media_type=media_type)

        assert answer.status == 200

    on_a_site(test)


@pytest.mark.parametrize(
    "message",
    [b"", b"\x01", sequence(), a_csr(), tlv(0x30, b"\x80")],
    ids=["nothing", "no-der", "empty", "pkcs10", "broken"],
)
def test_est_M1_what_is_no_full_pki_request_is_refused(message: bytes) -> None:
    async def test(site: Site) -> None:
        await site.register()

        answer = await send(site, message)

        said = answered(answer)
        assert (answer.status, said.status, said.fail_info) == (400, 2, BAD_REQUEST)
        assert said.body_parts == (0,)
        assert len(await site.attempts()) == 1

    on_a_site(test)


def test_est_H15_ber_is_refused() -> None:
    async def test(site: Site) -> None:
        message = a_message(await _coded(site))
        (length,) = [4 if message[1] == 0x82 else 3]

        answer = await send(site, b"\x30\x80" + message[length:] + b"\0\0")

        await _refused(site, answer, 400, BAD_REQUEST, 0, finding="not_der")

    on_a_site(test)


def test_est_M1_another_content_than_pki_data_is_refused() -> None:
    async def test(site: Site) -> None:
        await site.register()
        key = a_new_key()
        signer = Signer.holding(self_signed(key), key)
        plain = x509.ObjectIdentifier("1.2.840.113549.1.7.1")

        answer = await send(site, encode_signed_data(plain, a_pki_data(), signer=signer))

        await _refused(site, answer, 400, BAD_REQUEST, 0, finding="no_pki_data")

    on_a_site(test)


def test_est_M1_a_message_changed_on_its_way_fails_its_check() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        message = a_message(renewal(held), HEARD)

        answer = await send(site, message.replace(b"nonce of the", b"nonce OF the"), held=held)

        await _refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding="digest_mismatch")
        assert answered(answer).controls[TRANSACTION_ID] == integer(4711)

    on_a_site(test)


def test_est_M1_a_signature_by_another_key_fails_its_check() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        thief = Held(der=held.der, key=a_new_key())

        answer = await send(site, signed_by(thief, a_pki_data(tcr(a_csr()))))

        await _refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding="bad_message_check")

    on_a_site(test)


def test_est_M1_a_signer_whom_nobody_knows_fails_the_check() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        signer = Signer.holding(held.certificate, held.key)
        content = a_pki_data(tcr(renewal(held).csr))

        answer = await send(site, encode_signed_data(PKI_DATA, content, signer=signer))

        finding = "signer_certificate_missing"
        await _refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding=finding)

    on_a_site(test)


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

        await _refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding="signer_unexpected")

    on_a_site(test)


def test_a_message_by_the_requests_own_key_proves_nobody_whatever_it_came_over() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        key = a_new_key()
        wanted = crm(a_crm(key, extensions=[key_identifier(key)]))

        answer = await send(site, signed_by_own_key(key, a_pki_data(wanted)), held=held)

        await _refused(site, answer, 403, BAD_IDENTITY, 0, finding="no_credential")

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
        await _refused(site, answer, 403, BAD_IDENTITY, 101, finding=finding)

    on_a_site(test)


def test_the_connection_of_another_device_contradicts_the_signer() -> None:
    async def test(site: Site) -> None:
        held, other = await site.enroll(), await site.enroll("pump-2")

        answer = await send(site, a_message(renewal(held)), held=other)

        await _refused(site, answer, 403, BAD_REQUEST, 1, finding="identity_conflict")

    on_a_site(test)


def test_est_M1_a_control_that_is_not_known_is_refused_by_its_number() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        content = raw_pki_data(
            [tcr(renewal(held).csr)], [control(7, 15, sequence()), control(8, SENDER_NONCE, NONCE)]
        )

        answer = await send(site, signed_by(held, content))

        await _refused(site, answer, 400, BAD_REQUEST, 7, finding="control_unsupported")
        assert answered(answer).controls[RECIPIENT_NONCE] == NONCE

    on_a_site(test)


@pytest.mark.parametrize(
    ("requests", "parts"),
    [((), (0,)), ((tcr(a_csr(), 1), tcr(a_csr(), 2)), (1, 2))],
    ids=["none", "two"],
)
def test_est_M1_exactly_one_request_is_taken(
    requests: tuple[bytes, ...], parts: tuple[int, ...]
) -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()

        answer = await send(site, signed_by(held, a_pki_data(*requests)))

        await _refused(site, answer, 400, BAD_REQUEST, *parts, finding="not_one_request")

    on_a_site(test)


def test_est_M1_requests_of_another_sort_have_no_support() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()

        answer = await send(site, signed_by(held, a_pki_data(orm(9))))

        said = answered(answer)
        assert (answer.status, said.status, said.fail_info) == (400, 4, None)
        assert said.body_parts == (9,)

    on_a_site(test)


def test_est_M1_a_request_without_proof_of_possession_needs_one() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        bare = sequence(encoder.encode(a_cert_request(a_new_key(), number=5)))

        answer = await send(site, signed_by(held, a_pki_data(crm(bare))))

        await _refused(site, answer, 400, POP_REQUIRED, 5, finding="pop_missing")

    on_a_site(test)


@pytest.mark.parametrize(
    "request_",
    [
        tcr(raw_csr(signature=b"\x30\x06\x02\x01\x01\x02\x01\x01"), 5),
        crm(a_crm(number=5, signer=a_new_key())),
    ],
    ids=["pkcs10", "crmf"],
)
def test_est_T11_possession_that_is_not_proven_is_popFailed(request_: bytes) -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()

        answer = await send(site, signed_by(held, a_pki_data(request_)))

        finding = "bad_proof_of_possession"
        await _refused(site, answer, 400, POP_FAILED, 5, finding=finding)

    on_a_site(test)


def test_est_T11_a_binding_of_another_connection_is_popFailed() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        ask = replace(renewal(held), challenge_password="bm90IHRoaXMgb25l")

        answer = await post(site, ask)

        await _refused(site, answer, 400, POP_FAILED, 1, finding="linking_unavailable")
        assert "POP linking failed" in (answered(answer).words or "")

    on_a_site(test)


@pytest.mark.parametrize(
    "control_",
    [("1.3.6.1.5.5.7.5.1.1", tlv(0x0C, b"token")), ("1.3.6.1.5.5.7.5.1.4", tlv(0x82, b"\xff"))],
    ids=["regToken", "archiveOptions"],
)
def test_est_M1_a_control_of_crmf_that_is_not_served_is_refused(
    control_: tuple[str, bytes],
) -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        wanted = crm(a_crm(a_new_key(), number=5, controls=[control_]))

        answer = await send(site, signed_by(held, a_pki_data(wanted)))

        await _refused(site, answer, 400, BAD_REQUEST, 5, finding="control_unsupported")

    on_a_site(test)


@pytest.mark.parametrize("proof", [identity_proof, identity_proof_v2])
def test_a_wrong_secret_is_badIdentity(
    proof: Callable[[str, str, bytes], Control],
) -> None:
    async def test(site: Site) -> None:
        await _coded(site)
        message = _proven(a_new_key(), lambda wanted: [proof("AAAA", "pump-1", wanted)])

        answer = await send(site, message)

        await _refused(site, answer, 403, BAD_IDENTITY, 101, finding="code_wrong")

    on_a_site(test)


@pytest.mark.parametrize("proof", [identity_proof, identity_proof_v2])
def test_the_right_secret_proves_the_device_by_either_control(
    proof: Callable[[str, str, bytes], Control],
) -> None:
    async def test(site: Site) -> None:
        code = (await _coded(site)).code or ""
        message = _proven(a_new_key(), lambda wanted: [proof(code, "pump-1", wanted)])

        answer = await send(site, message)

        assert answer.status == 200
        assert len(await site.certificates()) == 1
        assert (await site.attempts())[0].operation == "fullcmc"

    on_a_site(test)


def test_a_proof_of_identity_for_another_request_proves_nothing() -> None:
    async def test(site: Site) -> None:
        code = (await _coded(site)).code or ""
        stolen = crm(a_crm(a_new_key()))
        message = _proven(a_new_key(), lambda _: [identity_proof_v2(code, "pump-1", stolen)])

        answer = await send(site, message)

        await _refused(site, answer, 403, BAD_IDENTITY, 101, finding="code_wrong")

    on_a_site(test)


def test_a_proof_of_identity_needs_a_name_beside_it() -> None:
    async def test(site: Site) -> None:
        code = (await _coded(site)).code or ""
        key = a_new_key()
        wanted = crm(a_crm(key, extensions=[key_identifier(key)]))
        content = a_pki_data(wanted, controls=[identity_proof_v2(code, "", wanted)])

        answer = await send(site, signed_by_own_key(key, content))

        await _refused(site, answer, 400, BAD_REQUEST, 100, finding="identity_unnamed")

    on_a_site(test)


RANDOM = b"r" * 64


def test_a_witness_links_identity_and_key() -> None:
    async def test(site: Site) -> None:
        code = (await _coded(site)).code or ""
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
        code = (await _coded(site)).code or ""
        message = _linked(code, witness_v2(of or code, RANDOM), random)

        answer = await send(site, message)

        await _refused(site, answer, 400, POP_FAILED, 1, finding="pop_unlinked")
        assert not await site.certificates()

    on_a_site(test)


def test_a_witness_in_a_pkcs10_request_is_verified_too() -> None:
    async def test(site: Site) -> None:
        code = (await _coded(site)).code or ""
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

        await _refused(site, answer, 400, POP_FAILED, 1, finding="pop_unlinked")

    on_a_site(test)


def test_est_M1_certificates_alone_answer_a_request_that_says_nothing_to_give_back() -> None:
    async def test(site: Site) -> None:
        answer = await post(site, await _coded(site))

        issued = (await site.certificates())[0].der
        assert (answer.status, answer.media_type) == (200, CERTS_ONLY)
        assert issued in certificates(answer)
        assert len(certificates(answer)) == 2

    on_a_site(test)


def test_est_M1_a_full_response_gives_back_what_the_request_gave() -> None:
    async def test(site: Site) -> None:
        answer = await post(site, await _coded(site), HEARD)

        said = answered(answer)
        assert (answer.status, said.status, said.fail_info) == (200, 0, None)
        assert said.controls[TRANSACTION_ID] == integer(4711)
        assert said.controls[RECIPIENT_NONCE] == NONCE
        assert said.controls[DATA_RETURN] == tlv(0x04, b"data")
        assert said.controls[SENDER_NONCE] != NONCE
        assert (await site.certificates())[0].der in certificates(answer)

    on_a_site(test)


def test_a_device_renews_by_the_certificate_that_signs() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()

        answer = await send(site, a_message(renewal(held)))

        assert answer.status == 200
        assert len(await site.certificates()) == 2
        shown = (await site.attempts())[0].client_certificate_sha256
        assert shown == (await site.record_of(held)).fingerprint

    on_a_site(test)


def test_the_signers_certificate_enrolls_for_another_profile() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()

        answer = await post(site, by_certificate(held))

        assert answer.status == 200
        assert {each.profile for each in await site.certificates()} == {"bootstrap", "operational"}

    on_a_site(test)


def test_est_H12_who_failed_too_often_is_told_to_try_later_in_cmc() -> None:
    async def run() -> None:
        responder = await a_responder()
        rejected = Rejected(
            reason=FailureReason.RATE_LIMITED,
            correlation_id="c0ffee",
            detail="",
            finding="rate_limited",
            retry_after=7,
        )
        full_cmc = FullCMC(responder=lambda: responder, limits=DEFAULT_LIMITS)

        answer = full_cmc.refuse(a_wire("fullcmc"), rejected)

        assert answer.status == 429
        assert CIMultiDict(answer.headers)["Retry-After"] == "7"
        assert answered(answer).fail_info == TRY_LATER

    asyncio.run(run())


def test_est_E4_a_request_that_waits_is_told_so_in_cmc() -> None:
    async def test(site: Site) -> None:
        ask = await _coded(site)
        exchange = await _exchange(site, a_message(ask, HEARD))

        answer = exchange.respond(Pending(order_id="order-1", retry_after=60))

        said = answered(answer)
        assert answer.status == 202
        assert CIMultiDict(answer.headers)["Retry-After"] == "60"
        assert (said.status, said.body_parts) == (3, (1,))
        assert said.pending is not None
        assert said.pending[0] == b"order-1"
        assert said.controls[TRANSACTION_ID] == integer(4711)

    on_a_site(test)


def test_a_secret_is_not_shown_by_what_prints_an_exchange() -> None:
    async def test(site: Site) -> None:
        exchange = await _exchange(site, a_message(await _coded(site)))

        (secret,) = [
            each for each in exchange.request.credentials if isinstance(each, SharedSecretMAC)
        ]
        assert repr(secret) == "SharedSecretMAC(username='pump-1')"

    on_a_site(test)


def test_without_a_signer_there_is_no_service_yet() -> None:
    full_cmc = FullCMC(responder=lambda: None, limits=DEFAULT_LIMITS)
    rejected = Rejected(
        reason=FailureReason.CA_UNAVAILABLE, correlation_id="c0ffee", detail="", finding="x"
    )

    answer = full_cmc.refuse(a_wire("fullcmc"), rejected)

    assert answer.status == 503
    assert answer.media_type.startswith("text/plain")


def test_est_H10_what_is_too_large_is_refused_in_cmc() -> None:
    async def test(site: Site) -> None:
        responder = await a_responder()
        est = await endpoint(site, lambda: responder)

        answer = await est(a_wire("fullcmc", body=b"", fault=TransportFault.TOO_LARGE))

        assert answer.status == 413
        assert answer.close
        assert answered(answer).fail_info == BAD_REQUEST

    on_a_site(test)
