"""Registration authorities over CMP: they sign for devices and vouch for keys, and no one else."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der import encoder

from enroll.device import DeviceState
from enroll.policy.profiles import PolicyError, check_certificate_profile
from enroll.profiles import KeyAlgorithm
from enroll.trust import CMC_RA
from protocols.cmp.messages import BodyType
from tests.support.approvals import a_manual_group
from tests.support.builders import a_certificate_profile, a_group
from tests.support.chains import IDEVID_EXTENSIONS, a_dn
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Answered, Client, by_held, by_secret
from tests.support.crmf import a_cert_request, a_crm, vouched
from tests.support.csr import Key, a_csr, a_key, a_name, sequence, tlv
from tests.support.enrollment import OPERATOR, Held, Site, a_new_key
from tests.support.registration_authorities import (
    A_RA,
    RA_KEY,
    a_site,
    appoint,
    factory,
)
from tests.support.registries import look
from tests.support.third_party import BETWEEN, fingerprint_of, maker

OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5"
CM_KGA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.32")
KINDS = [BodyType.IR, BodyType.CR, BodyType.P10CR]
OWN = pytest.mark.parametrize("own", [True, False], ids=["own", "under an anchor"])


def held(leaf: x509.Certificate, key: Key = RA_KEY) -> Held:
    return Held(der=leaf.public_bytes(Encoding.DER), key=key)


async def a_line(*parts: Any) -> Site:
    """Open a site that takes registration authorities, with unit-1 at it."""
    site = await a_site(*parts)
    await site.register("unit-1")
    return site


async def a_station(site: Site, *, own: bool) -> Client:
    """Make the client of a registration authority: of our own, or under the anchor."""
    return by_held(site, await appoint(site, "station") if own else held(A_RA))


def content(kind: BodyType, name: str = "unit-1", key: Key | None = None) -> bytes:
    """Word a good request for a device, in whatever message."""
    key = key or a_new_key()
    if kind is BodyType.P10CR:
        return a_csr(key, subject=a_name(name))
    return sequence(a_crm(key, number=0, subject=a_name(name)))


def vouched_for(name: str = "unit-1", key: Any = None) -> bytes:
    """Word a request whose key nobody proves to hold."""
    request = a_cert_request(key or a_new_key(), number=0, subject=a_name(name))
    return sequence(vouched(request))


def check_refused(answer: Answered, fail_info: str) -> None:
    assert (answer.status, answer.fail_info) == (2, {FAIL_INFO[fail_info]})


@OWN
@pytest.mark.parametrize("kind", KINDS)
async def test_cmp_O1_an_authority_enrolls_the_device_that_the_template_names(
    kind: BodyType,
    own: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site = await a_line()
    station = await a_station(site, own=own)

    station.heard = given = await station.send(kind, content(kind))
    confirmed = await station.confirm()

    assert (given.status, confirmed.kind) == (0, BodyType.PKICONF)
    subject = x509.load_der_x509_certificate(given.certificate).subject
    assert subject.rfc4514_string() == "CN=unit-1"
    assert (await site.device("unit-1")).state is DeviceState.REGISTERED
    enrolled = (await site.attempts())[1]
    assert enrolled.registration_authority == ("station" if own else "factory")
    (record,) = await site.certificates("unit-1")
    assert record.credential_id == fingerprint_of(
        x509.load_der_x509_certificate(station.extra_certs[0])
    )


async def test_cmp_O1_a_secret_enrolls_no_other_device_than_its_own() -> None:
    site = await a_line()
    await site.register("pump-2")
    client = by_secret(site, "unit-1", await site.code("unit-1"))

    answer = await client.send(BodyType.IR, content(BodyType.IR, "pump-2"))

    check_refused(answer, "notAuthorized")
    assert answer.kind is BodyType.IP
    assert not await site.certificates("pump-2")


async def test_cmp_O1_a_certificate_enrolls_no_other_device_than_its_own() -> None:
    site = await a_line()
    bootstrap = await site.enroll("pump-3")
    client = by_held(site, bootstrap, "operational")

    answer = await client.send(BodyType.CR, content(BodyType.CR, "unit-1"))

    check_refused(answer, "notAuthorized")
    assert not await site.certificates("unit-1")


async def test_cmp_O1_a_name_that_nobody_has_is_replaced_by_the_proven_one() -> None:
    site = await a_line()
    client = by_secret(site, "unit-1", await site.code("unit-1"))

    answer = await client.send(BodyType.IR, content(BodyType.IR, "whatever"))

    assert answer.status == 1
    given = x509.load_der_x509_certificate(answer.certificate)
    assert given.subject.rfc4514_string() == "CN=unit-1"


async def test_cmp_P13_an_authority_enrolls_nobody_beyond_its_groups() -> None:
    site = await a_line(a_group(), a_group("line-2"))
    station = by_held(site, await appoint(site, groups=("line-2",)))

    answer = await station.send(BodyType.CR, content(BodyType.CR))

    check_refused(answer, "notAuthorized")
    assert (await site.attempts())[0].finding == "ra_of_other_groups"


async def test_cmp_P13_an_authority_enrolls_nobody_where_the_profile_takes_none() -> None:
    site = await a_line(a_group())
    station = by_held(site, await appoint(site), "operational")

    answer = await station.send(BodyType.CR, content(BodyType.CR))

    check_refused(answer, "notAuthorized")


async def test_cmp_P13_a_blocked_authority_enrolls_nobody() -> None:
    site = await a_line(factory(blocked=True))
    station = by_held(site, held(A_RA))

    answer = await station.send(BodyType.CR, content(BodyType.CR))

    assert (answer.status, len(await site.certificates("unit-1"))) == (2, 0)


@pytest.mark.parametrize("wanted", [content(BodyType.CR), vouched_for()], ids=["signed", "vouched"])
async def test_cmp_P17_the_purpose_alone_is_no_authority(wanted: bytes) -> None:
    site = await a_line(maker())
    purposes = (*IDEVID_EXTENSIONS, (x509.ExtendedKeyUsage([CMC_RA]), False))
    stranger = by_held(site, held(A_RA))
    of_a_maker = by_held(
        site,
        held(BETWEEN.issue(a_dn("Pump", serial_number="SN-1"), key=RA_KEY, extensions=purposes)),
    )

    for client in (stranger, of_a_maker):
        answer = await client.send(BodyType.CR, wanted)

        assert answer.status == 2
    assert not await site.certificates("unit-1")


async def test_cmp_P17_an_authority_that_was_appointed_anew_counts_by_its_new_certificate() -> None:
    site = await a_line(a_group())
    old = by_held(site, await appoint(site))
    await appoint(site, key=a_key("p-256", 8))

    answer = await old.send(BodyType.CR, vouched_for())

    assert (answer.status, len(await site.certificates("unit-1"))) == (2, 0)


@pytest.mark.parametrize(
    "purpose", ["1.3.6.1.5.5.7.3.27", CMC_RA.dotted_string, CM_KGA.dotted_string]
)
def test_cmp_P17_no_profile_gives_the_purposes_of_authorities_to_devices(purpose: str) -> None:
    with pytest.raises(PolicyError, match="may not be given to a device"):
        check_certificate_profile(a_certificate_profile(extended_key_usage=(purpose,)))


@pytest.mark.parametrize("purpose", [CMC_RA, CM_KGA], ids=["cmcRA", "cmKGA"])
async def test_cmp_P17_a_device_that_asks_for_such_a_purpose_does_not_get_it(
    purpose: x509.ObjectIdentifier,
) -> None:
    site = await a_line()
    client = by_secret(site, "unit-1", await site.code("unit-1"))
    usage = x509.ExtendedKeyUsage([purpose])
    wanted = sequence(a_crm(a_new_key(), number=0, subject=a_name("unit-1"), extensions=[usage]))

    await client.send(BodyType.IR, wanted)

    for record in await site.certificates("unit-1"):
        given = record.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert purpose not in given.value


@OWN
async def test_cmp_P17_an_authority_vouches_for_a_key(own: bool) -> None:  # noqa: FBT001 - a column of the table above
    site = await a_line()
    station = await a_station(site, own=own)
    key = a_new_key()

    answer = await station.send(BodyType.IR, vouched_for(key=key))

    assert answer.status == 0
    given = x509.load_der_x509_certificate(answer.certificate)
    assert given.public_key() == key.public_key()


async def test_security_P15_a_device_under_a_secret_does_not_vouch_for_a_key() -> None:
    site = await a_line()
    client = by_secret(site, "unit-1", await site.code("unit-1"))

    answer = await client.send(BodyType.IR, vouched_for())

    check_refused(answer, "notAuthorized")
    assert answer.kind is BodyType.IP
    assert not await site.certificates("unit-1")
    device_id = (await site.device("unit-1")).device_id
    (code,) = await look(site.registry, lambda uow: uow.codes.of_device(device_id))
    assert code.uses == 0
    again = await client.send(BodyType.IR, content(BodyType.IR))
    assert again.status == 0


async def test_security_P15_a_device_with_a_certificate_does_not_vouch_for_a_key() -> None:
    site = await a_line()
    bootstrap = await site.enroll("pump-3")

    first = await by_held(site, bootstrap, "operational").send(BodyType.CR, vouched_for("pump-3"))
    second = await by_held(site, bootstrap).send(BodyType.KUR, vouched_for("pump-3"))

    check_refused(first, "notAuthorized")
    check_refused(second, "notAuthorized")
    assert len(await site.certificates("pump-3")) == 1


async def test_security_P15_who_knows_no_secret_is_not_told_about_vouching() -> None:
    site = await a_line()
    client = by_secret(site, "unit-1", "AAAA-AAAA-AAAA-AAAA-AAAA")

    answer = await client.send(BodyType.IR, vouched_for())

    check_refused(answer, "badMessageCheck")


async def test_security_P15_a_key_that_is_vouched_for_is_judged_like_any_other() -> None:
    site = await a_line()
    station = by_held(site, held(A_RA))
    weak = a_key("rsa-1024")
    own = vouched_for(key=RA_KEY)

    answers = [await station.send(BodyType.IR, each) for each in (vouched_for(key=weak), own)]

    for each in answers:
        check_refused(each, "badCertTemplate")


@OWN
@pytest.mark.parametrize("old", [True, False], ids=["oldCertID", "no oldCertID"])
async def test_cmp_N3_an_authority_does_not_sign_an_update_of_others(
    own: bool,  # noqa: FBT001 - a column of the table above
    old: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    site = await a_line()
    device = await site.enroll("pump-3")
    station = await a_station(site, own=own)
    certificate = device.certificate
    cert_id = sequence(
        tlv(0xA4, certificate.issuer.public_bytes()),
        tlv(0x02, certificate.serial_number.to_bytes(20)),
    )
    controls = [(OLD_CERT_ID, cert_id)] if old else []
    wanted = sequence(a_crm(a_new_key(), number=0, subject=certificate.subject, controls=controls))

    answer = await station.send(BodyType.KUR, wanted)

    check_refused(answer, "notAuthorized")
    assert len(await site.certificates("pump-3")) == 1


async def test_an_authority_polls_for_what_a_person_has_to_decide() -> None:
    site = await a_line(factory(), a_manual_group())
    station = by_held(site, held(A_RA))

    station.heard = waiting = await station.send(BodyType.IR, vouched_for())
    (order,) = await site.orders(pending_only=True)
    await site.approvals.approve(order.order_id, actor=OPERATOR)
    given = await station.send(BodyType.POLL_REQ, sequence(sequence(integer(0))))

    assert (waiting.status, given.kind, given.status) == (3, BodyType.IP, 0)


async def test_cmp_N3_an_authority_asks_for_no_key_of_others() -> None:
    site = await a_line()
    station = by_held(site, held(A_RA))
    bare = a_cert_request(None, number=0, subject=a_name("unit-1"))

    answer = await station.send(BodyType.CR, sequence(sequence(encoder.encode(bare))), pvno=3)

    check_refused(answer, "notAuthorized")
    assert not await site.certificates("unit-1")


@pytest.mark.parametrize("takes", [True, False], ids=["of the profile", "of another profile"])
async def test_cmp_P17_an_authority_vouches_for_a_key_that_cannot_sign(
    takes: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    profile = [a_certificate_profile(key_algorithms=frozenset(KeyAlgorithm))] if takes else []
    site = await a_line(factory(), *profile)
    station = by_held(site, held(A_RA))
    key = x25519.X25519PrivateKey.generate()

    answer = await station.send(BodyType.IR, vouched_for(key=key))

    if takes:
        given = x509.load_der_x509_certificate(answer.certificate)
        assert given.public_key() == key.public_key()
    else:
        check_refused(answer, "badCertTemplate")
