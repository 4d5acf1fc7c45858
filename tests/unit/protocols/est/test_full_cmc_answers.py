"""EST's fullcmc: what an answer gives back, and how a failure of ours is told."""

import asyncio
from base64 import b64encode

from multidict import CIMultiDict

from enroll.credentials import SharedSecretMAC
from enroll.failures import FailureReason
from enroll.result import Pending, Rejected
from protocols.est.full_cmc import FullCMC, FullCMCExchange
from protocols.limits import DEFAULT_LIMITS
from protocols.wire import TransportFault
from tests.support.cmc import (
    DATA_RETURN,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    STATUS_INFO_V2,
    TRANSACTION_ID,
    Control,
    a_pki_data,
    integer,
)
from tests.support.csr import tlv
from tests.support.enrollment import (
    Site,
    a_new_key,
    by_certificate,
    by_code,
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
    on_a_site,
    post,
    send,
    signed_by_own_key,
    with_a_code,
)
from tests.support.wire import a_wire

NONCE = tlv(0x04, b"nonce of the client")
HEARD: list[Control] = [
    (TRANSACTION_ID, integer(4711)),
    (SENDER_NONCE, NONCE),
    (DATA_RETURN, tlv(0x04, b"data")),
]
BAD_REQUEST, TRY_LATER = 2, 12


async def _exchange(site: Site, message: bytes) -> FullCMCExchange:
    """Have a message received, and not decided yet."""
    responder = await a_responder()
    est = FullCMC(responder=lambda: responder, limits=DEFAULT_LIMITS)
    wire = a_wire("fullcmc", body=b64encode(message), headers={"Content-Type": CMC_REQUEST})
    return est.receive(wire, site.origin(by_code("pump-1", "")))


def test_est_M1_certificates_alone_answer_a_request_that_says_nothing_to_give_back() -> None:
    async def test(site: Site) -> None:
        answer = await post(site, await with_a_code(site))

        issued = (await site.certificates())[0].der
        assert (answer.status, answer.media_type) == (200, CERTS_ONLY)
        assert issued in certificates(answer)
        assert len(certificates(answer)) == 2

    on_a_site(test)


def test_est_M1_a_full_response_gives_back_what_the_request_gave() -> None:
    async def test(site: Site) -> None:
        answer = await post(site, await with_a_code(site), HEARD)

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

        message = signed_by_own_key(a_new_key(), a_pki_data(controls=HEARD))

        answer = full_cmc.refuse(a_wire("fullcmc", body=b64encode(message)), rejected)

        assert answer.status == 429
        assert CIMultiDict(answer.headers)["Retry-After"] == "7"
        said = answered(answer)
        assert said.fail_info == TRY_LATER
        assert set(said.controls) == {STATUS_INFO_V2}, "the message was looked into"

    asyncio.run(run())


def test_est_E4_a_request_that_waits_is_told_so_in_cmc() -> None:
    async def test(site: Site) -> None:
        ask = await with_a_code(site)
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
        exchange = await _exchange(site, a_message(await with_a_code(site)))

        (secret,) = [
            each for each in exchange.request.credentials if isinstance(each, SharedSecretMAC)
        ]
        assert repr(secret) == "SharedSecretMAC(username='pump-1', references=())"

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
