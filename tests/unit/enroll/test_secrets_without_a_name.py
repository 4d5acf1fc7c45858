"""What the pipeline makes of a code without a name, and of messages that do not say their kind."""

from dataclasses import replace

import pytest

from enroll.credentials import ChallengePassword, Credential, SignerCertificate
from enroll.device import DeviceState
from enroll.events import EventName
from enroll.failures import FailureReason
from enroll.request import EnrollmentRequest, Operation
from enroll.result import EnrollmentResult, Issued, Rejected
from tests.support.arrangements import WRONG_CODE, disable, put_in_state
from tests.support.builders import a_policy, a_tenant, an_enrollment_profile
from tests.support.csr import a_name
from tests.support.enrollment import (
    Ask,
    Held,
    Site,
    a_new_key,
    by_code,
    open_site,
)


def challenged(site: Site, code: str, **wishes: object) -> EnrollmentRequest:
    """Ask by the code alone, as SCEP does."""
    return shown(site, by_code("pump-1", code, **wishes), ChallengePassword(password=code))


def signed(site: Site, held: Held, profile: str | None = None) -> EnrollmentRequest:
    """Ask by a signature, without saying whether it is a renewal."""
    ask = Ask(operation=Operation.BY_CERTIFICATE, key=a_new_key(), profile=profile)
    return shown(site, ask, SignerCertificate(chain=(held.certificate,)))


def shown(site: Site, ask: Ask, *credentials: Credential) -> EnrollmentRequest:
    return replace(site.request(ask), credentials=credentials)


async def rejected(site: Site, request: EnrollmentRequest) -> Rejected:
    result = await site.pipeline.handle(request)
    assert isinstance(result, Rejected), result
    return result


async def issued(site: Site, request: EnrollmentRequest) -> Issued:
    result: EnrollmentResult = await site.pipeline.handle(request)
    assert isinstance(result, Issued), result
    return result


async def test_a_wrong_code_proves_nobody() -> None:
    site = await open_site()
    await site.register()
    await site.code()

    refusal = await rejected(site, challenged(site, WRONG_CODE))

    assert (refusal.reason, refusal.finding) == (FailureReason.NOT_AUTHENTICATED, "code_wrong")


async def test_a_code_of_another_tenant_proves_nobody() -> None:
    elsewhere = an_enrollment_profile("elsewhere", tenant_id=a_tenant("t-2").tenant_id)
    site = await open_site(a_policy(a_tenant("t-2"), elsewhere))
    await site.register()

    refusal = await rejected(site, challenged(site, await site.code(), profile="elsewhere"))

    assert (refusal.reason, refusal.finding) == (
        FailureReason.NOT_AUTHENTICATED,
        "identity_unknown",
    )


async def test_a_code_of_a_deleted_device_proves_nobody() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    await put_in_state(site, DeviceState.DELETED)

    refusal = await rejected(site, challenged(site, code))

    assert refusal.reason is FailureReason.NOT_AUTHENTICATED


async def test_security_T2_a_code_does_not_enroll_a_request_that_names_another_device() -> None:
    site = await open_site()
    await site.register()
    await site.register("pump-2")

    refusal = await rejected(site, challenged(site, await site.code(), subject=a_name("pump-2")))

    assert (refusal.reason, refusal.finding) == (
        FailureReason.NOT_AUTHORIZED,
        "identity_conflict",
    )


async def test_a_code_of_a_disabled_device_is_refused_in_its_history() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    await disable(site)

    refusal = await rejected(site, challenged(site, code))

    assert refusal.finding == "device_disabled"
    assert (await site.events())[-1].name is EventName.ENROLLMENT_DENIED


async def test_a_code_alone_enrolls_the_device_that_it_was_made_for() -> None:
    site = await open_site()
    await site.register("pump-2")
    device = await site.register()
    code = await site.code()

    result = await issued(site, challenged(site, code.lower().replace("-", "")))

    assert result.record.device_id == device.device_id


async def test_scep_27_a_spent_code_gets_the_same_certificate_for_the_same_key() -> None:
    site = await open_site()
    await site.register()
    code, key = await site.code(), a_new_key()
    first = await issued(site, challenged(site, code, key=key))

    second = await issued(site, challenged(site, code, key=key))

    assert second.repeated
    assert second.record.der == first.record.der


async def test_scep_27_a_spent_code_gets_nothing_for_another_key() -> None:
    site = await open_site()
    await site.register()
    code = await site.code()
    await issued(site, challenged(site, code))

    refusal = await rejected(site, challenged(site, code))

    assert refusal.finding == "code_reused"
    assert EventName.CODE_REUSED in {each.name for each in await site.events()}


async def test_a_signature_renews_in_the_slot_of_its_certificate() -> None:
    site = await open_site()
    held = await site.enroll()

    result = await issued(site, signed(site, held))

    assert result.record.profile == "bootstrap"
    assert len(await site.certificates()) == 2


async def test_a_signature_enrolls_for_another_slot_that_takes_its_certificate() -> None:
    site = await open_site()
    held = await site.enroll()

    result = await issued(site, signed(site, held, "operational"))

    assert result.record.profile == "operational"
    assert (await site.device()).state is DeviceState.PROVISIONED


async def test_a_signature_is_refused_for_a_slot_that_does_not_take_its_certificate() -> None:
    site = await open_site()
    _, operational = await site.provision()

    refusal = await rejected(site, signed(site, operational, "bootstrap"))

    assert refusal.finding == "credential_not_sufficient"


async def test_scep_47_a_signature_by_nobodys_certificate_proves_nobody() -> None:
    site = await open_site()
    stranger = await (await open_site()).enroll()

    refusal = await rejected(site, signed(site, stranger))

    assert refusal.reason is FailureReason.SIGNER_NOT_TRUSTED


@pytest.mark.parametrize("profile", [None, "bootstrap"])
async def test_the_certificate_comes_first_where_a_renewal_shows_a_wrong_code_too(
    profile: str | None,
) -> None:
    site = await open_site()
    held = await site.enroll()
    request = signed(site, held, profile)
    both = (ChallengePassword(password=WRONG_CODE), *request.credentials)

    result = await issued(site, replace(request, credentials=both))

    assert result.record.profile == "bootstrap"
