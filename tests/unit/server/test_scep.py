"""What the server gives SCEP: its RA certificates as they come and go, CAs and their lists."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ca.service import SCEP_RA
from protocols.cms.digests import Digest
from protocols.scep.handler import SCEPHandler
from protocols.wire import WireResponse
from server.config.load import load_config
from server.home import Home
from server.labels import PolicyMirror
from server.revocation import RevocationPublisher
from server.scep import SCEPServices
from server.service_certificates import ServiceCertificate
from server.wiring import Works, crl_lifetimes, open_works
from tests.support.fakes import FixedClock
from tests.support.installation import Installation
from tests.support.scep import a_scep_wire


@asynccontextmanager
async def opened(
    installation: Installation, clock: FixedClock
) -> AsyncIterator[tuple[Works, ServiceCertificate, SCEPServices]]:
    home = Home(installation.home)
    works = open_works(home, load_config(home.configuration), stream="server")
    try:
        works = replace(works, office=replace(works.office, clock=clock))
        registry = works.office.registry
        mirror = PolicyMirror(registry)
        await mirror.refresh()
        succession = works.authorities.now.succession
        lifetimes = crl_lifetimes(succession, works.office.config)
        crls = RevocationPublisher(registry, works.issuers, lifetimes, clock)
        await crls.refresh()
        ra = ServiceCertificate(works, SCEP_RA)
        yield (
            works,
            ra,
            SCEPServices(
                mirror=mirror,
                ra=ra,
                ca_certificates=works.ca_certificates,
                authorities=lambda: works.authorities.now,
                crls=crls,
            ),
        )
    finally:
        await works.close()


def a_clock() -> FixedClock:
    return FixedClock(datetime.now(UTC))


async def test_before_the_first_ra_certificate_there_is_none(installation: Installation) -> None:
    async with opened(installation, a_clock()) as (_, _, services):
        assert services.registration_authorities() == ()


async def test_the_ra_signs_with_every_digest_and_is_the_same_object_from_then_on(
    installation: Installation,
) -> None:
    async with opened(installation, a_clock()) as (_, ra, services):
        await ra.refresh()

        (first,) = services.registration_authorities()
        (second,) = services.registration_authorities()

        assert first is second
        assert first.signers.keys() == set(Digest)
        assert first.certificate == ra.current().certificate


async def test_scep_8_a_renewed_ra_is_shown_and_the_one_before_it_still_opens(
    installation: Installation,
) -> None:
    clock = a_clock()
    async with opened(installation, clock) as (_, ra, services):
        await ra.refresh()
        (old,) = services.registration_authorities()
        clock.advance(timedelta(days=300))
        await ra.refresh()
        clock.advance(timedelta(minutes=10))

        shown, kept = services.registration_authorities()

        assert kept is old
        assert shown.certificate != old.certificate
        clock.advance(timedelta(days=100))
        assert services.registration_authorities() == (shown,)


async def test_the_list_of_a_ca_is_found_by_its_name(installation: Installation) -> None:
    async with opened(installation, a_clock()) as (works, _, services):
        issuing = works.authorities.now.issuing.certificate

        found = services.revocation_list(issuing.subject.public_bytes())

        assert found is not None
        assert x509.load_der_x509_crl(found).issuer == issuing.subject
        assert services.revocation_list(x509.Name([]).public_bytes()) is None


async def test_scep_30_the_ca_signs_nothing_but_certificates_and_lists(
    installation: Installation,
) -> None:
    async with opened(installation, a_clock()) as (works, _, _):
        for each in works.authorities.now.members.values():
            usage = each.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
            assert not usage.digital_signature
            assert usage.key_cert_sign


async def test_scep_30_a_published_next_ca_is_shown_by_get_ca_cert(
    installation: Installation,
) -> None:
    installation.run("issuer", "rollover", "prepare")
    installation.run("issuer", "rollover", "publish")

    async with opened(installation, a_clock()) as (works, ra, services):
        await ra.refresh()
        answer = SCEPHandler(services).receive(
            a_scep_wire(method="GET", query="operation=GetCACert")
        )

        coming = works.authorities.now.next_certificates[0]
        assert isinstance(answer, WireResponse)
        found = pkcs7.load_der_pkcs7_certificates(answer.body)
        assert coming in {each.public_bytes(Encoding.DER) for each in found}


async def test_a_profile_that_scep_does_not_reach_has_no_options(
    installation: Installation,
) -> None:
    installation.run("profile", "add", "est-only", "--copy", "bootstrap", "--set", "protocols=est")

    async with opened(installation, a_clock()) as (_, _, services):
        assert services.options("est-only") is None
        assert services.options("nowhere") is None
        assert services.options("operational") == services.options(None)
