"""The shared table of cases, asked over SCEP: the same rule, the same outcome."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.device import DeviceState
from enroll.failures import FailureReason
from protocols.wire import WireResponse
from tests.support import arrangements as a
from tests.support import renewals as r
from tests.support.cases import CASES, Case, check_outcome
from tests.support.enrollment import Ask, Site, new_keys_are_rsa, open_site
from tests.support.matrix import MATRIX
from tests.support.scep import NONCE, message_of, opened_by, read_answer, send

# The SCEP column of the table of failures, written once more; None is HTTP 503.
FAIL_INFO: Mapping[FailureReason, str | None] = {
    FailureReason.NOT_AUTHENTICATED: "2",
    FailureReason.SIGNER_NOT_TRUSTED: "2",
    FailureReason.UNKNOWN_DEVICE: "2",
    FailureReason.NOT_AUTHORIZED: "2",
    FailureReason.CERTIFICATE_REVOKED: "2",
    FailureReason.BAD_CERTIFICATE_TEMPLATE: "2",
    FailureReason.TRANSACTION_CONFLICT: "2",
    FailureReason.CA_UNAVAILABLE: None,
}
UNPROVEN = {FailureReason.NOT_AUTHENTICATED, FailureReason.SIGNER_NOT_TRUSTED}
NOT_AUTHORIZED = FailureReason.NOT_AUTHORIZED


def _issued(case: Case) -> Case:
    return replace(case, reason=None, finding=None, fault=None)


def _refused(finding: str) -> Callable[[Case], Case]:
    return lambda case: replace(case, reason=NOT_AUTHORIZED, finding=finding, fault=None)


# What is another thing in SCEP, where no name goes with a code, and no message says whether it
# renews: the certificate that signs does, in its own slot.
OTHERWISE: Mapping[object, Callable[[Case], Case]] = {
    a.unknown_name: lambda case: replace(_issued(case), state=DeviceState.REGISTERED),
    a.code_of_another: _refused("identity_conflict"),
    a.certificate_where_none_is_taken: _issued,
    a.user_name_of_another_beside_a_certificate: lambda case: replace(
        _issued(case), state=DeviceState.PROVISIONED
    ),
    r.in_the_slot_of_another_profile: lambda case: replace(
        _issued(case), state=DeviceState.PROVISIONED
    ),
    r.by_a_certificate_of_the_wrong_slot: _issued,
    # What is sealed may have been caught, and signed anew by whoever caught it.
    a.certificate_of_nobody_beside_a_code: lambda case: replace(
        case,
        reason=FailureReason.NOT_AUTHENTICATED,
        finding="signer_key_mismatch",
        fault=None,
        state=DeviceState.ENROLLED,
    ),
    # A RenewalReq is signed with a certificate: with a code it is a first enrollment.
    r.by_a_code: _refused("re_enrollment_refused"),
    r.by_a_code_with_another_subject: _refused("re_enrollment_refused"),
    r.by_a_code_with_nothing_to_renew: lambda case: replace(
        _issued(case), state=DeviceState.REGISTERED
    ),
}


@pytest.mark.parametrize("case", [*CASES, *MATRIX], ids=lambda case: case.name)
def test_the_same_rule_has_the_same_outcome_over_scep(case: Case) -> None:
    with new_keys_are_rsa():
        asyncio.run(_run(_as_scep_has_it(case)))


def _as_scep_has_it(case: Case) -> Case:
    change = OTHERWISE.get(case.arrange)
    return change(case) if change is not None else case


async def _run(case: Case) -> None:
    site = await open_site(case.policy)
    ask = await case.arrange(site)
    before = len(await site.certificates())
    message = message_of(ask)

    answer = await send(site, message.encode(), ask.profile or "")

    await check_outcome(site, case, before)
    if case.pending:
        reply = read_answer(answer)
        assert (reply.status, reply.fail_info, reply.envelope) == ("3", None, None)
    elif case.reason is None:
        await _check_certificate(site, ask, answer)
    else:
        _check_refusal(case, answer)


async def _check_certificate(site: Site, ask: Ask, answer: WireResponse) -> None:
    reply = read_answer(answer)
    assert (reply.status, reply.fail_info, reply.recipient_nonce) == ("0", None, NONCE)
    signer = message_of(ask).signer
    (sent,) = opened_by(reply, signer)
    assert f"{sent.serial_number:x}" == (await site.attempts())[0].serial_number
    assert sent.public_bytes(Encoding.DER) in {each.der for each in await site.certificates()}


def _check_refusal(case: Case, answer: WireResponse) -> None:
    assert case.reason is not None
    fail_info = FAIL_INFO[case.reason]
    if fail_info is None:
        assert answer.status == 503
        assert "Retry-After" in dict(answer.headers)
        return
    reply = read_answer(answer)
    assert (reply.status, reply.fail_info, reply.envelope) == ("2", fail_info, None)
    assert (reply.text == "The request is refused.") is (case.reason in UNPROVEN)
