"""What /csrattrs tells a device that shows who it is, and everybody else."""

from base64 import b64decode
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.credentials import SECRETS, CredentialKind
from enroll.device import DeviceState, IdentityKind
from enroll.failures import RegistryUnavailable
from enroll.group_secrets import GroupSecrets
from enroll.options import ESTOptions, HTTPScheme
from protocols.wire import WireResponse
from registry.memory import MemoryRegistry
from registry.memory.unit_of_work import MemoryUnitOfWork
from server.backoff import Backoff
from tests.support.arrangements import WRONG_CODE, disable
from tests.support.builders import (
    PASSCODE_REFERENCE,
    a_certificate_profile,
    a_hash,
    a_policy,
    an_enrollment_profile,
)
from tests.support.chains import a_dn
from tests.support.csr import a_key
from tests.support.csr_attributes import Told, read
from tests.support.enrollment import OPERATOR, Held, Site, by_code, open_site
from tests.support.est import a_question, endpoint, get
from tests.support.joining import a_group_to_join
from tests.support.passcodes import a_passcode
from tests.support.registries import look
from tests.support.third_party import BETWEEN, customer, idevid, maker

ALTERNATIVE_NAME = "2.5.29.17"
NAMES = a_certificate_profile(
    subject=(
        ("O", "Acme"),
        ("CN", "{name}"),
        ("serialNumber", "{serial}"),
        ("OU", "{attribute.hall}"),
    ),
    subject_alternative_names=(("dns", "{name}.example"), ("uri", "urn:uuid:{id}")),
)
STRANGERS = ["Acme", None, None]
PUMPS = ["Acme", "pump-1", "SN-1", "north"]


class UnreadableRegistry(MemoryRegistry):
    """A registry whose database is gone when it is asked."""

    gone = False

    def unit_of_work(self) -> MemoryUnitOfWork:
        if self.gone:
            raise RegistryUnavailable("the database is gone")
        return super().unit_of_work()


async def a_site(**changes: Any) -> Site:
    site = await open_site(a_policy(NAMES, an_enrollment_profile(**changes)))
    await site.register(serial_number="SN-1", attributes={"hall": "north"})
    return site


async def enrolled(site: Site) -> Held:
    return await site.obtain(by_code("pump-1", await site.code()))


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def template_in(answer: WireResponse) -> Told:
    assert answer.status == 200, answer
    _, template = read(b64decode(answer.body))
    assert template is not None
    return template


def subject_in(answer: WireResponse) -> list[str | None]:
    subject = template_in(answer).subject
    assert subject is not None
    return [None if value is None else value[2:].decode() for _, value in subject]


async def names_of_pump_1(site: Site) -> bytes:
    device = await site.device()
    uri = x509.UniformResourceIdentifier(f"urn:uuid:{device.device_id}")
    return x509.SubjectAlternativeName([x509.DNSName("pump-1.example"), uri]).public_bytes()


async def test_est_A5_a_stranger_is_told_which_names_are_wanted_and_none_of_them() -> None:
    site = await a_site()

    answer = await get(site, "csrattrs")

    assert subject_in(answer) == STRANGERS
    # What only the registry knows is nothing to ask a device for.
    assert template_in(answer).extensions[ALTERNATIVE_NAME][1] == b"\x30\x02\x82\x00"
    assert "no-store" not in dict(answer.headers).get("Cache-Control", "")


async def test_est_A5_who_shows_a_good_code_is_told_the_names_of_the_registry() -> None:
    site = await a_site()

    answer = await get(site, "csrattrs", user=("pump-1", await site.code()))

    assert subject_in(answer) == PUMPS
    assert template_in(answer).extensions[ALTERNATIVE_NAME][1] == await names_of_pump_1(site)
    assert dict(answer.headers)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["csrattrs", "bootstrap/csrattrs", "operational/csrattrs"])
async def test_est_A5_who_shows_its_certificate_is_told_its_names(path: str) -> None:
    site = await a_site()
    held = await enrolled(site)

    told = template_in(await get(site, path, held=held))

    assert told.subject is not None
    assert b"\x0c\x06pump-1" in {value for _, value in told.subject}


async def test_est_A5_who_shows_its_makers_certificate_is_told_its_names() -> None:
    site = await open_site(a_policy(NAMES, maker()))
    await site.register(serial_number="SN-1")

    answer = await get(site, "csrattrs", held=Held(der=der_of(idevid()), key=a_key()))

    assert subject_in(answer) == ["Acme", "pump-1", "SN-1"]
    # It was looked at, and that was all.
    assert (await site.device()).state is DeviceState.ENROLLED
    assert not await site.certificates()


async def test_est_A5_a_certificate_that_devices_share_says_nothing_of_which_it_is() -> None:
    site = await open_site(a_policy(NAMES, customer()))
    await site.register(serial_number="SN-1")
    held = Held(der=der_of(BETWEEN.issue(a_dn("Any pump"))), key=a_key())

    assert await get(site, "csrattrs", held=held) == await get(site, "csrattrs")


async def test_est_A5_a_secret_that_devices_share_says_nothing_of_which_it_is() -> None:
    site = await a_site(initial_credentials=SECRETS)
    secrets = GroupSecrets(site.registry, site.vault, site.clock, site.randomness)
    group_id = (await site.device()).group_id
    made = await secrets.add(group_id, actor=OPERATOR)

    told = await get(site, "csrattrs", user=("pump-1", made.clear))

    assert told == await get(site, "csrattrs")


async def test_est_A5_a_passcode_says_nothing_of_who_shows_it() -> None:
    site = await a_site(initial_credentials=SECRETS)
    made = await a_passcode(site)

    told = await get(site, "csrattrs", user=(PASSCODE_REFERENCE, made.clear))

    assert told == await get(site, "csrattrs")


async def test_est_A5_who_would_join_has_no_names_yet() -> None:
    anchor = maker(newcomers_join="default")
    site = await open_site(a_policy(NAMES, a_group_to_join(), anchor))
    held = Held(der=der_of(BETWEEN.issue(a_dn("Pump", serial_number="SN-1"))), key=a_key())

    assert await get(site, "csrattrs", held=held) == await get(site, "csrattrs")
    assert not await look(site.registry, lambda uow: uow.devices.list())


async def test_est_A5_a_device_whose_key_is_known_may_ask_before_it_shows_the_key() -> None:
    pinned = (IdentityKind.SPKI_SHA256, a_hash("a key"))
    site = await open_site(a_policy(NAMES))
    await site.register(identities=(pinned,))

    answer = await get(site, "csrattrs", user=("pump-1", await site.code()))

    assert subject_in(answer) == ["Acme", "pump-1"]


async def test_est_A5_a_code_is_as_good_afterwards_as_it_was_before() -> None:
    site = await a_site()
    code = await site.code()

    for _ in range(3):
        await get(site, "csrattrs", user=("pump-1", code))

    await site.obtain(by_code("pump-1", code))


@pytest.mark.parametrize(
    "user", [("pump-1", WRONG_CODE), ("pump-9", WRONG_CODE), ("pump-1", ""), ("", "")]
)
async def test_est_A5_a_bad_code_gets_what_no_code_gets(user: tuple[str, str]) -> None:
    site = await a_site()
    await site.code()

    assert await get(site, "csrattrs", user=user) == await get(site, "csrattrs")


async def test_est_A5_a_spent_code_gets_what_no_code_gets() -> None:
    site = await a_site()
    code = await site.code()
    await site.obtain(by_code("pump-1", code))

    assert await get(site, "csrattrs", user=("pump-1", code)) == await get(site, "csrattrs")


async def test_est_A5_a_disabled_device_gets_what_a_stranger_gets() -> None:
    site = await a_site()
    held, code = await enrolled(site), await site.code()
    await disable(site)

    strangers = await get(site, "csrattrs")

    assert await get(site, "csrattrs", user=("pump-1", code)) == strangers
    assert await get(site, "csrattrs", held=held) == strangers


async def test_est_A5_a_certificate_that_is_not_from_here_gets_what_a_stranger_gets() -> None:
    site, elsewhere = await a_site(), await a_site()
    held = await enrolled(elsewhere)

    assert await get(site, "csrattrs", held=held) == await get(site, "csrattrs")


async def test_est_A5_what_a_profile_does_not_take_proves_nothing_here_either() -> None:
    only_certificates = frozenset({CredentialKind.IDEVID})
    site = await a_site(initial_credentials=only_certificates)
    user = ("pump-1", await site.code())

    assert await get(site, "csrattrs", user=user) == await get(site, "csrattrs")


async def test_est_T9_a_scheme_that_a_profile_does_not_take_proves_nothing() -> None:
    digest = ESTOptions(http_authentication=(HTTPScheme.DIGEST_SHA_256,))
    site = await a_site(est=digest)
    user = ("pump-1", await site.code())

    assert await get(site, "csrattrs", user=user) == await get(site, "csrattrs")


async def test_security_E1_guessing_codes_at_csrattrs_slows_the_guesser_down() -> None:
    site = await a_site()
    backoff = Backoff(burst=3, per_second=0.001, monotonic=lambda: 0.0)

    answers = [
        (await get(site, "csrattrs", user=("pump-1", WRONG_CODE), backoff=backoff)).status
        for _ in range(4)
    ]

    assert answers == [200, 200, 200, 429]


async def test_est_A5_asking_leaves_no_attempt_and_no_event() -> None:
    site = await a_site()
    before = len(await site.events()), len(await site.attempts())

    await get(site, "csrattrs", user=("pump-1", WRONG_CODE))
    await get(site, "csrattrs")

    assert (len(await site.events()), len(await site.attempts())) == before


async def test_est_A5_without_a_registry_a_credential_cannot_be_judged() -> None:
    registry = UnreadableRegistry()
    site = await open_site(a_policy(NAMES), registry=registry)
    await site.register()
    served = await endpoint(site)
    wire = a_question(site, "csrattrs", user=("pump-1", await site.code()))
    registry.gone = True

    answer = await served(wire)

    assert answer.status == 503
    assert "Retry-After" in dict(answer.headers)


async def test_est_A5_impossible_names_are_left_to_the_device() -> None:
    site = await open_site(
        a_policy(a_certificate_profile(subject=(("C", "{attribute.country}"), ("CN", "{name}"))))
    )
    await site.register(attributes={"country": "nowhere"})

    answer = await get(site, "csrattrs", user=("pump-1", await site.code()))

    assert subject_in(answer) == [None]
