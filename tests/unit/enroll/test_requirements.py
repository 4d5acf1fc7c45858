"""What a request should hold, and what becomes of one that lacks it."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.failures import FailureReason
from enroll.options import CSRAttributesStyle, ESTOptions, LinkingRule
from enroll.policy.requirements import requirements_of, untold_keys, wanted_key
from enroll.profiles import KeyAlgorithm, KeyUsageBit, ProtocolName
from enroll.requirements import AlternativeNameKind, WantedAttribute, WantedName
from enroll.result import EnrollmentResult, Issued, Rejected
from protocols.est.failures import encode_rejection
from tests.support.builders import (
    a_certificate_profile,
    a_device,
    a_policy,
    an_enrollment_profile,
)
from tests.support.csr import a_name, some_key_usage
from tests.support.enrollment import Ask, Site, by_code, open_site, renewal

ALL = frozenset(KeyAlgorithm)
SIGNS = KeyUsageBit.DIGITAL_SIGNATURE
AGREES = KeyUsageBit.KEY_AGREEMENT
ENCIPHERS = KeyUsageBit.KEY_ENCIPHERMENT


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [
        (ALL, None),
        ({KeyAlgorithm.P_384}, KeyAlgorithm.P_384),
        ({KeyAlgorithm.P_521, KeyAlgorithm.P_384}, KeyAlgorithm.P_384),
        ({KeyAlgorithm.RSA_4096, KeyAlgorithm.RSA_3072}, KeyAlgorithm.RSA_3072),
        ({KeyAlgorithm.ED25519}, KeyAlgorithm.ED25519),
        ({KeyAlgorithm.ML_DSA_65}, KeyAlgorithm.ML_DSA_65),
        ({KeyAlgorithm.P_256, KeyAlgorithm.RSA_2048}, None),
        ({KeyAlgorithm.ED25519, KeyAlgorithm.ED448}, None),
        ({KeyAlgorithm.ML_DSA_44, KeyAlgorithm.ML_DSA_65}, None),
    ],
)
def test_est_A6_a_key_is_demanded_where_only_one_type_is_allowed(
    allowed: set[KeyAlgorithm], wanted: KeyAlgorithm | None
) -> None:
    assert wanted_key(allowed) is wanted


@pytest.mark.parametrize(
    ("allowed", "options", "told"),
    [
        (ALL, ESTOptions(), True),
        ({KeyAlgorithm.P_256}, ESTOptions(), True),
        ({KeyAlgorithm.P_256}, ESTOptions(csr_attributes=CSRAttributesStyle.LIST), True),
        ({KeyAlgorithm.P_256}, ESTOptions(csr_attributes=CSRAttributesStyle.NONE), False),
        ({KeyAlgorithm.P_256, KeyAlgorithm.RSA_2048}, ESTOptions(), False),
    ],
)
def test_est_A6_a_demand_on_keys_that_devices_cannot_learn_is_found(
    allowed: set[KeyAlgorithm], options: ESTOptions, *, told: bool
) -> None:
    template = a_certificate_profile(key_algorithms=frozenset(allowed))
    profile = an_enrollment_profile(est=options)
    elsewhere = replace(profile, protocols=frozenset({ProtocolName.SCEP}))

    assert (untold_keys(profile, template) is None) is told
    assert untold_keys(elsewhere, template) is None


def test_est_A5_of_names_a_stranger_is_told_what_it_can_know() -> None:
    template = a_certificate_profile(
        subject=(("O", "Acme"), ("CN", "{name}-{serial}"), ("OU", "{attribute.hall}")),
        subject_alternative_names=(
            ("uri", "urn:uuid:{id}"),
            ("dns", "{name}.example"),
            ("ip", "192.0.2.1"),
            ("email", "{attribute.mail}"),
        ),
    )

    wanted = requirements_of(an_enrollment_profile(), template, None)

    assert wanted.subject == (
        WantedAttribute(type=NameOID.ORGANIZATION_NAME, value="Acme"),
        WantedAttribute(type=NameOID.COMMON_NAME),
    )
    kinds = [(each.kind, each.value is not None) for each in wanted.alternative_names]
    assert kinds == [(AlternativeNameKind.DNS, False), (AlternativeNameKind.IP, True)]


def test_est_A5_of_a_device_the_names_are_those_of_its_certificate() -> None:
    template = a_certificate_profile()
    device = a_device()

    wanted = requirements_of(an_enrollment_profile(), template, device)

    assert wanted.subject == (WantedAttribute(type=NameOID.COMMON_NAME, value="pump-1"),)
    uri = x509.UniformResourceIdentifier(f"urn:uuid:{device.device_id}")
    assert wanted.alternative_names == (WantedName(kind=AlternativeNameKind.URI, value=uri),)
    assert wanted.extended_key_usage == (ExtendedKeyUsageOID.CLIENT_AUTH,)
    assert not wanted.channel_binding


@pytest.mark.parametrize(
    ("allowed", "usage", "wanted"),
    [
        (ALL, {SIGNS}, {SIGNS}),
        (ALL, {SIGNS, AGREES}, {SIGNS}),
        ({KeyAlgorithm.P_256}, {SIGNS, AGREES, ENCIPHERS}, {SIGNS, AGREES}),
        ({KeyAlgorithm.RSA_2048}, {SIGNS, AGREES, ENCIPHERS}, {SIGNS, ENCIPHERS}),
        ({KeyAlgorithm.ED25519}, {AGREES}, set()),
    ],
)
def test_est_A3_no_usage_is_asked_for_that_the_key_cannot_have(
    allowed: set[KeyAlgorithm], usage: set[KeyUsageBit], wanted: set[KeyUsageBit]
) -> None:
    template = a_certificate_profile(key_algorithms=frozenset(allowed), key_usage=frozenset(usage))

    assert requirements_of(an_enrollment_profile(), template, None).key_usage == wanted


def test_est_A2_required_linking_is_a_requirement() -> None:
    profile = an_enrollment_profile(est=ESTOptions(linking=LinkingRule.REQUIRED))

    assert requirements_of(profile, a_certificate_profile(), None).channel_binding


# What is enforced.


async def a_strict_site(**changes: Any) -> Site:
    strict = an_enrollment_profile(est=ESTOptions(enforce_attributes=True))
    return await open_site(a_policy(strict, a_certificate_profile(**changes)))


async def obedient(site: Site) -> Ask:
    """Arrange a request that holds all that /csrattrs asks for."""
    device = await site.register(serial_number="SN-1")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "PUMP-1"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-1"),
        ]
    )
    return by_code(
        "pump-1",
        await site.code(),
        subject=subject,
        names=(x509.UniformResourceIdentifier(f"urn:uuid:{device.device_id}"),),
        key_usage=some_key_usage(digital_signature=True, key_agreement=True),
        purposes=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
    )


def missing_in(result: EnrollmentResult) -> str | None:
    assert isinstance(result, Rejected), result
    assert result.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert result.finding == "attributes_missing"
    return result.field


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"subject": a_name()}, "serialNumber"),
        ({"subject": x509.Name([])}, "CN, serialNumber"),
        ({"names": ()}, "subjectAltName"),
        ({"names": (x509.DNSName("pump-1"),)}, "subjectAltName"),
        ({"key_usage": None}, "keyUsage"),
        ({"key_usage": some_key_usage(key_agreement=True)}, "keyUsage"),
        ({"purposes": ()}, "extendedKeyUsage"),
        ({"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "extendedKeyUsage"),
        ({"names": (), "purposes": ()}, "subjectAltName, extendedKeyUsage"),
    ],
)
async def test_est_A5_a_strict_profile_names_what_a_request_lacks(
    changes: dict[str, Any], missing: str
) -> None:
    site = await a_strict_site()

    result = await site.send(replace(await obedient(site), **changes))

    assert missing_in(result) == missing
    assert isinstance(result, Rejected)
    told = encode_rejection(result, authorization_shown=True, challenges=tuple)
    assert told.status == 400
    assert told.body.decode().startswith(
        f"The request lacks what /csrattrs asks for. Field: {missing}."
    )


async def test_est_A5_a_request_that_holds_it_all_is_served() -> None:
    site = await a_strict_site()

    assert isinstance(await site.send(await obedient(site)), Issued)


async def test_est_A5_a_profile_is_lenient_unless_it_says_otherwise() -> None:
    site = await open_site()
    await site.register(serial_number="SN-1")

    result = await site.send(by_code("pump-1", await site.code(), subject=x509.Name([])))

    assert isinstance(result, Issued)


async def test_est_A5_a_stranger_does_not_learn_what_is_missing() -> None:
    site = await a_strict_site()
    ask = replace(await obedient(site), names=(), code="AAAA-BBBB-CCCC-DDDD-EEEE")

    result = await site.send(ask)

    assert isinstance(result, Rejected)
    assert result.finding == "code_wrong"


async def test_est_A5_a_renewal_has_the_names_that_it_renews() -> None:
    site = await a_strict_site()
    ask = await obedient(site)
    held = await site.obtain(ask)
    wishes = {"key_usage": ask.key_usage, "purposes": ask.purposes}

    assert isinstance(await site.send(renewal(held, **wishes)), Issued)
    assert missing_in(await site.send(renewal(held))) == "keyUsage, extendedKeyUsage"


async def test_est_A5_another_protocol_is_not_asked_for_what_its_devices_were_not_told() -> None:
    site = await a_strict_site()
    request = site.request(replace(await obedient(site), names=(), purposes=()))
    by_scep = replace(request.origin, protocol=ProtocolName.SCEP)

    assert isinstance(await site.pipeline.handle(replace(request, origin=by_scep)), Issued)
