"""The server's own certificates renew themselves, and who holds the old one is still served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.ceremony import ISSUING
from ca.issuers import IssuerSet
from ca.keys.software import KeyKind
from ca.local import LocalAuthority
from ca.service import CM_KGA, KEY_GENERATION, MESSAGE_SIGNER, ServiceKind
from enroll.profiles import CertificateClass, KeyUsageBit
from protocols.cms.chains import without_roots
from server.clock import SystemClock
from server.config.load import load_config
from server.home import Home, HomeError
from server.service_certificates import (
    SETTLING,
    ServiceCertificate,
    ServiceIdentity,
    previous,
)
from server.wiring import Works, open_works
from tests.support.fakes import FixedClock
from tests.support.installation import Installation
from tests.support.lint import check_certificate
from tests.support.openssl import Verification, verify_chain

AN_RSA_KIND = ServiceKind(
    name="transport",
    profile="transport",
    title="Transport",
    key_kind=KeyKind.RSA_2048,
    key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.KEY_ENCIPHERMENT}),
    extended_key_usage=(),
)


def a_clock() -> FixedClock:
    return FixedClock(SystemClock().now().replace(microsecond=0))


@asynccontextmanager
async def works(installation: Installation, clock: FixedClock) -> AsyncIterator[Works]:
    home = Home(installation.home)
    opened = open_works(home, load_config(home.configuration), stream="server")
    issuers = IssuerSet(issuers={ISSUING: opened.issuers[ISSUING]}, roots=())
    try:
        yield replace(
            opened,
            office=replace(opened.office, clock=clock),
            authority=LocalAuthority(issuers, clock),
        )
    finally:
        await opened.close()


def shown(kept: ServiceCertificate) -> x509.Certificate:
    return kept.current().certificate


async def test_est_K11_the_key_generation_certificate_says_what_it_is_for(
    installation: Installation,
) -> None:
    async with works(installation, a_clock()) as opened:
        kept = ServiceCertificate(opened, KEY_GENERATION)

        await kept.refresh()

        certificate = shown(kept)
        check_certificate(certificate.public_bytes(Encoding.DER))
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        assert list(purposes) == [CM_KGA]
        assert usage.digital_signature
        assert not usage.key_encipherment
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
        certificate.verify_directly_issued_by(opened.issuers[ISSUING].certificate)
        assert kept.current().chain == (opened.issuers[ISSUING].certificate,)
        async with opened.office.registry.unit_of_work() as uow:
            (record,) = await uow.certificates.list()
        assert record.certificate_class is CertificateClass.SERVICE
        assert record.profile == "key-generation"


async def test_an_rsa_kind_without_purposes_can_be_had(installation: Installation) -> None:
    async with works(installation, a_clock()) as opened:
        kept = ServiceCertificate(opened, AN_RSA_KIND)

        await kept.refresh()

        certificate = shown(kept)
        check_certificate(certificate.public_bytes(Encoding.DER))
        assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature
        assert usage.key_encipherment


async def test_it_is_made_once_and_loaded_from_then_on(installation: Installation) -> None:
    async with works(installation, a_clock()) as opened:
        first, second = (ServiceCertificate(opened, KEY_GENERATION) for _ in range(2))
        await first.refresh()

        await first.refresh()
        await second.refresh()

        assert shown(first) == shown(second)
        assert len(first.usable()) == 1


async def test_it_is_renewed_before_it_ends_and_the_one_before_stays_usable(
    installation: Installation,
) -> None:
    clock = a_clock()
    async with works(installation, clock) as opened:
        kept = ServiceCertificate(opened, KEY_GENERATION)
        await kept.refresh()
        old = shown(kept)

        clock.advance(timedelta(days=250))
        await kept.refresh()

        assert [each.certificate for each in kept.usable()][1:] == [old]
        assert shown(kept) == old
        clock.advance(SETTLING)
        assert shown(kept) != old
        assert all(each.key.public_key() == each.certificate.public_key() for each in kept.usable())
        clock.advance(timedelta(days=120))
        assert [each.certificate for each in kept.usable()] == [shown(kept)]
        assert shown(kept) != old


async def test_another_worker_takes_over_what_the_first_made(installation: Installation) -> None:
    clock = a_clock()
    async with works(installation, clock) as opened:
        leader = ServiceCertificate(opened, KEY_GENERATION)
        follower = ServiceCertificate(opened, KEY_GENERATION, renews=False)
        await leader.refresh()
        await follower.refresh()
        clock.advance(timedelta(days=250))
        await leader.refresh()

        await follower.refresh()

        assert certificates(follower) == certificates(leader)
        assert len(certificates(follower)) == 2


@pytest.mark.parametrize("gone", ["ca/key-generation.pem", "keys/key-generation.key"])
async def test_half_a_pair_is_made_anew(installation: Installation, gone: str) -> None:
    async with works(installation, a_clock()) as opened:
        kept = ServiceCertificate(opened, KEY_GENERATION)
        await kept.refresh()
        old = shown(kept)
        (installation.home / gone).unlink()

        again = ServiceCertificate(opened, KEY_GENERATION)
        await again.refresh()

        assert shown(again) != old


async def test_a_pair_that_does_not_belong_together_leaves_the_one_before(
    installation: Installation,
) -> None:
    """The machine died between writing the new key and the new certificate."""
    clock = a_clock()
    async with works(installation, clock) as opened:
        kept = ServiceCertificate(opened, KEY_GENERATION)
        await kept.refresh()
        old = shown(kept)
        clock.advance(timedelta(days=250))
        await kept.refresh()
        home = opened.office.home
        torn = home.service_certificate(previous("key-generation")).read_bytes()
        home.service_certificate("key-generation").write_bytes(torn)

        follower = ServiceCertificate(opened, KEY_GENERATION, renews=False)
        await follower.refresh()
        await kept.refresh()

        assert certificates(follower) == [old]
        assert len(certificates(kept)) == 2


async def test_a_worker_without_files_says_that_there_is_none(installation: Installation) -> None:
    async with works(installation, a_clock()) as opened:
        kept = ServiceCertificate(opened, KEY_GENERATION, renews=False)

        await kept.refresh()

        with pytest.raises(HomeError, match="no Key Generation certificate"):
            kept.current()


def certificates(kept: ServiceCertificate) -> list[x509.Certificate]:
    return [each.certificate for each in kept.usable()]


async def test_what_signs_messages_is_shown_to_whoever_knows_either_root_alone(
    installation: Installation,
) -> None:
    home = Home(installation.home)
    clock = a_clock()
    opened = open_works(home, load_config(home.configuration), stream="server")
    kept = ServiceCertificate(
        replace(opened, office=replace(opened.office, clock=clock)), MESSAGE_SIGNER
    )
    try:
        await kept.refresh()
        assert [name_of(each) for each in kept.current().chain] == ["Test Issuing CA"]

        for steps in (("prepare", "publish"), ("activate",)):
            for step in steps:
                installation.run("issuer", "rollover", step)
            assert opened.follow_succession()
            await kept.refresh()
            clock.advance(SETTLING)

            for root in ("root", "root-2"):
                found = verified(kept.current(), home.ca_certificate(root), installation.home)
                assert found.ok, (steps, root, found.words)
        assert [name_of(each) for each in kept.current().chain[:1]] == ["Test Issuing CA 2"]
    finally:
        await opened.close()


def name_of(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def verified(identity: ServiceIdentity, root: Path, folder: Path) -> Verification:
    """Let openssl verify it up to a root, by what is sent along with what it signs."""
    leaf, between = folder / "leaf.pem", folder / "between.pem"
    leaf.write_bytes(identity.certificate.public_bytes(Encoding.PEM))
    sent = without_roots(tuple(each.public_bytes(Encoding.DER) for each in identity.chain))
    between.write_bytes(
        b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in sent)
    )
    return verify_chain(leaf, root, between=[between])
