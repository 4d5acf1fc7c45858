"""EST's fullcmc: which messages are taken, and in which words the others are refused."""

import asyncio
from dataclasses import replace

import pytest
from cryptography import x509
from multidict import CIMultiDict
from pyasn1.codec.der import encoder

from protocols.cmc.messages import PKI_DATA
from protocols.cms.signed_data import Signer, encode_signed_data
from tests.support.cmc import (
    DATA_RETURN,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    Control,
    a_pki_data,
    control,
    crm,
    integer,
    orm,
    raw_pki_data,
    tcr,
)
from tests.support.crmf import a_cert_request, a_crm
from tests.support.csr import a_csr, raw_csr, sequence, tlv
from tests.support.enrollment import (
    Held,
    Site,
    a_new_key,
    open_site,
    renewal,
)
from tests.support.full_cmc import (
    CMC_REQUEST,
    a_message,
    answered,
    check_refused,
    on_a_site,
    post,
    self_signed,
    send,
    signed_by,
    with_a_code,
)

NONCE = tlv(0x04, b"nonce of the client")
HEARD: list[Control] = [
    (TRANSACTION_ID, integer(4711)),
    (SENDER_NONCE, NONCE),
    (DATA_RETURN, tlv(0x04, b"data")),
]
BAD_MESSAGE_CHECK, BAD_REQUEST, POP_REQUIRED, POP_FAILED = 1, 2, 8, 9


def test_est_M2_fullcmc_is_not_there_where_it_is_off() -> None:
    async def run() -> None:
        site = await open_site()
        answer = await post(site, await with_a_code(site))

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
        message = a_message(await with_a_code(site))

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
        answer = await send(site, a_message(await with_a_code(site)), media_type=media_type)

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
        message = a_message(await with_a_code(site))
        (length,) = [4 if message[1] == 0x82 else 3]

        answer = await send(site, b"\x30\x80" + message[length:] + b"\0\0")

        await check_refused(site, answer, 400, BAD_REQUEST, 0, finding="not_der")

    on_a_site(test)


def test_est_M1_another_content_than_pki_data_is_refused() -> None:
    async def test(site: Site) -> None:
        await site.register()
        key = a_new_key()
        signer = Signer.holding(self_signed(key), key)
        plain = x509.ObjectIdentifier("1.2.840.113549.1.7.1")

        answer = await send(site, encode_signed_data(plain, a_pki_data(), signer=signer))

        await check_refused(site, answer, 400, BAD_REQUEST, 0, finding="no_pki_data")

    on_a_site(test)


def test_est_M1_a_message_changed_on_its_way_fails_its_check() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        message = a_message(renewal(held), HEARD)

        answer = await send(site, message.replace(b"nonce of the", b"nonce OF the"), held=held)

        await check_refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding="digest_mismatch")
        assert answered(answer).controls[TRANSACTION_ID] == integer(4711)

    on_a_site(test)


def test_est_M1_a_signature_by_another_key_fails_its_check() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        thief = Held(der=held.der, key=a_new_key())

        answer = await send(site, signed_by(thief, a_pki_data(tcr(a_csr()))))

        await check_refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding="bad_message_check")

    on_a_site(test)


def test_est_M1_a_signer_whom_nobody_knows_fails_the_check() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        signer = Signer.holding(held.certificate, held.key)
        content = a_pki_data(tcr(renewal(held).csr))

        answer = await send(site, encode_signed_data(PKI_DATA, content, signer=signer))

        finding = "signer_certificate_missing"
        await check_refused(site, answer, 400, BAD_MESSAGE_CHECK, 0, finding=finding)

    on_a_site(test)


def test_est_M1_a_control_that_is_not_known_is_refused_by_its_number() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        content = raw_pki_data(
            [tcr(renewal(held).csr)], [control(7, 15, sequence()), control(8, SENDER_NONCE, NONCE)]
        )

        answer = await send(site, signed_by(held, content))

        await check_refused(site, answer, 400, BAD_REQUEST, 7, finding="control_unsupported")
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

        await check_refused(site, answer, 400, BAD_REQUEST, *parts, finding="not_one_request")

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

        await check_refused(site, answer, 400, POP_REQUIRED, 5, finding="pop_missing")

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
        await check_refused(site, answer, 400, POP_FAILED, 5, finding=finding)

    on_a_site(test)


def test_est_T11_a_binding_of_another_connection_is_popFailed() -> None:
    async def test(site: Site) -> None:
        held = await site.enroll()
        ask = replace(renewal(held), challenge_password="bm90IHRoaXMgb25l")

        answer = await post(site, ask)

        await check_refused(site, answer, 400, POP_FAILED, 1, finding="linking_unavailable")
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

        await check_refused(site, answer, 400, BAD_REQUEST, 5, finding="control_unsupported")

    on_a_site(test)
