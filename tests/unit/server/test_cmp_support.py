"""What support messages tell while one root takes another's place, and of the lists of each CA."""

from datetime import timedelta

import pytest
from cryptography import x509

from ca.authorities import Authorities
from protocols.cmp.support_values import CRLSource
from registry.memory import MemoryRegistry
from server.cmp_support import CMPSupport
from server.revocation import RevocationPublisher
from tests.support.authority import PUBLIC_URL
from tests.support.fakes import FixedClock
from tests.unit.ca.test_succession import STEPS, a_rollover


async def support_for(authorities: Authorities) -> CMPSupport:
    """Have it tell of these CAs, with a list of each."""
    crls = RevocationPublisher(
        MemoryRegistry(),
        authorities.issuers,
        dict.fromkeys(authorities.issuers, timedelta(days=1)),
        FixedClock(),
    )
    await crls.refresh()
    return CMPSupport(lambda: authorities, crls, PUBLIC_URL)


@pytest.mark.parametrize("steps", [0, 1, 4])
async def test_cmp_O7_there_is_no_update_but_while_roots_change(steps: int) -> None:
    authorities = a_rollover(*STEPS[:steps])
    support = await support_for(authorities)

    assert support.root_update(None) is None
    assert support.root_update(authorities.root.der) is None


@pytest.mark.parametrize("steps", [2, 3])
async def test_cmp_O7_the_update_is_of_the_root_that_goes(steps: int) -> None:
    authorities = a_rollover(*STEPS[:steps])
    support = await support_for(authorities)
    old, new = (authorities.members[each] for each in ("root", "root-2"))

    found = support.root_update(old.der)

    assert found is not None
    assert found == support.root_update(None)
    assert found.new_with_new == new.der
    assert support.root_update(new.der) is None
    link = x509.load_der_x509_certificate(found.new_with_old)
    link.verify_directly_issued_by(old.certificate)
    assert link.public_key() == new.certificate.public_key()


async def test_cmp_O7_the_current_list_is_of_the_ca_that_issues() -> None:
    before, after = [await support_for(a_rollover(*STEPS[:n])) for n in (2, 3)]

    lists = [each.current_crl() for each in (before, after)]

    assert [each.issuer for each in lists if each is not None] == ["issuing", "issuing-2"]


@pytest.mark.parametrize("name", ["issuing", "issuing-2"])
async def test_cmp_O7_each_list_is_found_by_place_and_by_issuer(name: str) -> None:
    authorities = a_rollover(*STEPS[:3])
    support = await support_for(authorities)
    subject = authorities.members[name].certificate.subject.public_bytes()

    by_place = support.revocation_list(CRLSource(urls=(f"{PUBLIC_URL}/crl/{name}.crl",)))
    by_issuer = support.revocation_list(CRLSource(issuers=(subject,)))

    assert by_place is not None
    assert by_place == by_issuer
    assert by_place.issuer == name


async def test_cmp_O7_no_list_of_others_is_found() -> None:
    support = await support_for(a_rollover(*STEPS[:3]))

    found = support.revocation_list(CRLSource(urls=("http://elsewhere/crl/issuing.crl",)))

    assert found is None
    assert support.revocation_list(CRLSource()) is None
