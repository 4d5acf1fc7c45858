"""What the server gives SCEP: its RA certificates as they come and go, CAs and their lists."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ca.issuers import signature_hash_for
from ca.service import SCEP_NEXT_RA, SCEP_RA
from protocols.cms.digests import Digest
from protocols.cms.signed_data import decode_signed_data, verify
from protocols.scep.handler import SCEPHandler
from protocols.wire import ProtocolViolation, WireResponse
from server.authorities import open_key, read_certificate
from server.config.load import load_config
from server.home import Home, read_passphrase, write_public
from server.labels import PolicyMirror
from server.next_ca import NextCA
from server.revocation import RevocationPublisher
from server.scep import SCEPServices
from server.service_certificates import ServiceCertificate
from server.wiring import Works, crl_lifetimes, open_works
from tests.support.csr import some_key_usage
from tests.support.fakes import FixedClock
from tests.support.installation import Installation
from tests.support.scep import a_scep_wire


class Opened(NamedTuple):
    works: Works
    ra: ServiceCertificate
    next_ca: NextCA
    services: SCEPServices


@asynccontextmanager
async def opened(installation: Installation, clock: FixedClock) -> AsyncIterator[Opened]:
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
        ra, next_ra = ServiceCertificate(works, SCEP_RA), ServiceCertificate(works, SCEP_NEXT_RA)
        next_ca = NextCA(works, next_ra)
        yield Opened(
            works,
            ra,
            next_ca,
            SCEPServices(
                mirror=mirror,
                ra=ra,
                next_ra=next_ra,
                next_ca=next_ca.message,
                ca_certificates=works.ca_certificates,
                authorities=lambda: works.authorities.now,
                crls=crls,
            ),
        )
    finally:
        await works.close()


def a_clock() -> FixedClock:
    return FixedClock(datetime.now(UTC))


def a_published_next_ca(installation: Installation) -> None:
    installation.run("issuer", "rollover", "prepare")
    installation.run("issuer", "rollover", "publish")


def asked(services: SCEPServices, operation: str) -> WireResponse:
    wire = a_scep_wire(method="GET", query=f"operation={operation}")
    answer = SCEPHandler(services).receive(wire)
    assert isinstance(answer, WireResponse)
    return answer


def without_digital_signature(installation: Installation) -> None:
    """Give the issuing CA the certificate that it would have had before it signed messages."""
    home = Home(installation.home)
    passphrase = read_passphrase(home.passphrase)
    root = read_certificate(home.root_certificate)
    path = home.ca_certificate("issuing")
    old = read_certificate(path)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for each in old.extensions:
        is_usage = isinstance(each.value, x509.KeyUsage)
        value = some_key_usage(key_cert_sign=True, crl_sign=True) if is_usage else each.value
        builder = builder.add_extension(value, each.critical)
    key = open_key(home.ca_key("root"), passphrase)
    assert root.public_key() == key.public_key()
    made = builder.sign(key, signature_hash_for(key))
    write_public(path, made.public_bytes(Encoding.PEM))


async def test_before_the_first_ra_certificate_there_is_none(installation: Installation) -> None:
    async with opened(installation, a_clock()) as (_, _, _, services):
        assert services.registration_authorities() == ()


async def test_the_ra_signs_with_every_digest_and_is_the_same_object_from_then_on(
    installation: Installation,
) -> None:
    async with opened(installation, a_clock()) as (_, ra, _, services):
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
    async with opened(installation, clock) as (_, ra, _, services):
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
    async with opened(installation, a_clock()) as (works, _, _, services):
        issuing = works.authorities.now.issuing.certificate

        found = services.revocation_list(issuing.subject.public_bytes())

        assert found is not None
        assert x509.load_der_x509_crl(found).issuer == issuing.subject
        assert services.revocation_list(x509.Name([]).public_bytes()) is None


async def test_scep_30_only_the_issuing_ca_may_sign_a_message(installation: Installation) -> None:
    async with opened(installation, a_clock()) as (works, _, _, _):
        authorities = works.authorities.now
        for each in authorities.members.values():
            usage = each.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
            assert usage.digital_signature is (each is authorities.issuing)
            assert usage.key_cert_sign


async def test_scep_30_the_next_ca_is_told_by_the_present_one(installation: Installation) -> None:
    a_published_next_ca(installation)
    clock = a_clock()
    async with opened(installation, clock) as (works, ra, next_ca, services):
        await ra.refresh()
        await next_ca.refresh()
        clock.advance(timedelta(seconds=4))
        await next_ca.refresh()

        told = asked(services, "GetNextCACert")

        assert "GetNextCACert" in asked(services, "GetCACaps").body.decode().splitlines()
        assert told.media_type == "application/x-x509-next-ca-cert"
        message = decode_signed_data(told.body)
        assert verify(message) == works.authorities.now.issuing.certificate
        found = pkcs7.load_der_pkcs7_certificates(message.content or b"")
        assert {each.public_bytes(Encoding.DER) for each in found} == {
            services.registration_authorities()[1].der,
            *works.authorities.now.next_certificates,
        }


async def test_scep_30_nothing_is_told_until_every_worker_has_the_next_ra(
    installation: Installation,
) -> None:
    a_published_next_ca(installation)
    async with opened(installation, a_clock()) as (_, ra, next_ca, services):
        await ra.refresh()

        await next_ca.refresh()

        assert services.next_ca() is None
        assert len(services.registration_authorities()) == 2


async def test_scep_30_a_ca_that_may_not_sign_messages_is_not_made_to(
    installation: Installation,
) -> None:
    without_digital_signature(installation)
    a_published_next_ca(installation)
    clock = a_clock()
    async with opened(installation, clock) as (_, ra, next_ca, services):
        await ra.refresh()
        await next_ca.refresh()
        clock.advance(timedelta(seconds=4))
        await next_ca.refresh()

        assert "GetNextCACert" not in asked(services, "GetCACaps").body.decode()
        with pytest.raises(ProtocolViolation) as violation:
            asked(services, "GetNextCACert")
        assert violation.value.response.status == 404


async def test_scep_56_what_is_sealed_to_the_next_ra_names_the_next_ca_until_that_issues_itself(
    installation: Installation,
) -> None:
    a_published_next_ca(installation)
    async with opened(installation, a_clock()) as (works, ra, next_ca, services):
        await ra.refresh()
        await next_ca.refresh()
        before = [each.issuer for each in services.registration_authorities()]
        installation.run("issuer", "rollover", "activate")
        works.follow_succession()

        after = [each.issuer for each in services.registration_authorities()]

        assert before == [None, "issuing-2"]
        assert after == [None, None]
        assert services.next_ca() is None


async def test_scep_56_the_ra_of_a_retired_ca_is_none(installation: Installation) -> None:
    clock = a_clock()
    async with opened(installation, clock) as (works, ra, _, services):
        await ra.refresh()
        (old,) = services.registration_authorities()
        a_published_next_ca(installation)
        installation.run("issuer", "rollover", "activate")
        works.follow_succession()
        await ra.refresh()
        clock.advance(timedelta(minutes=10))
        beside = services.registration_authorities()
        installation.run("issuer", "rollover", "retire", "--yes")
        works.follow_succession()

        left = services.registration_authorities()

        assert old in beside
        assert old not in left
        assert left == beside[:1]


async def test_scep_56_a_ca_that_is_retired_at_once_leaves_the_next_ra_to_serve(
    installation: Installation,
) -> None:
    a_published_next_ca(installation)
    async with opened(installation, a_clock()) as (works, ra, next_ca, services):
        await ra.refresh()
        await next_ca.refresh()
        _, coming = services.registration_authorities()
        installation.run("issuer", "rollover", "activate")
        installation.run("issuer", "rollover", "retire", "--yes")
        works.follow_succession()

        (at_once,) = services.registration_authorities()
        shown = asked(services, "GetCACert")
        await ra.refresh()
        then, beside = services.registration_authorities()

        assert at_once.certificate == beside.certificate == coming.certificate
        assert (at_once.issuer, then.issuer) == (None, None)
        assert at_once.certificate in pkcs7.load_der_pkcs7_certificates(shown.body)
        assert then.certificate != coming.certificate


async def test_scep_30_a_record_that_is_written_again_keeps_the_next_ca_told(
    installation: Installation,
) -> None:
    a_published_next_ca(installation)
    clock = a_clock()
    async with opened(installation, clock) as (works, ra, next_ca, services):
        await ra.refresh()
        await next_ca.refresh()
        clock.advance(timedelta(seconds=4))
        await next_ca.refresh()
        record = Home(installation.home).issuers
        write_public(record, record.read_bytes())

        assert works.follow_succession()
        await next_ca.refresh()

        assert asked(services, "GetNextCACert").status == 200


async def test_scep_30_a_published_next_ca_is_shown_by_get_ca_cert(
    installation: Installation,
) -> None:
    a_published_next_ca(installation)

    async with opened(installation, a_clock()) as (works, ra, _, services):
        await ra.refresh()
        answer = asked(services, "GetCACert")

        coming = works.authorities.now.next_certificates[0]
        found = pkcs7.load_der_pkcs7_certificates(answer.body)
        assert coming in {each.public_bytes(Encoding.DER) for each in found}


async def test_a_profile_that_scep_does_not_reach_has_no_options(
    installation: Installation,
) -> None:
    installation.run("profile", "add", "est-only", "--copy", "bootstrap", "--set", "protocols=est")

    async with opened(installation, a_clock()) as (_, _, _, services):
        assert services.options("est-only") is None
        assert services.options("nowhere") is None
        assert services.options("operational") == services.options(None)
