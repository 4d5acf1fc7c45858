"""What the secret of a MAC goes by: senderKID of any octets, or the sender's CN, or its DN."""

from dataclasses import replace

import pytest
from cryptography import x509

from enroll.credentials import CredentialKind, SharedSecretMAC
from enroll.group_secrets import SecretTerms
from enroll.result import Issued
from protocols.cmp.encode import directory_name
from protocols.cmp.senders import reference_of, references_of
from tests.support.builders import GROUP, a_policy, an_enrollment_profile
from tests.support.cmp import a_header
from tests.support.csr import a_name
from tests.support.enrollment import OPERATOR, by_code, open_site
from tests.support.joining import a_group_to_join
from tests.support.passcodes import secrets_of

LONG = x509.Name.from_rfc4514_string("CN=bench,O=Works")
NOBODY = directory_name(x509.Name([]).public_bytes())


@pytest.mark.parametrize("octets", [b"bench", b"\x00\xff\xfe", b"", "Prüfstand".encode()])
def test_cmp_H4_a_sender_kid_is_the_reference_as_it_is(octets: bytes) -> None:
    assert references_of(a_header(sender_kid=octets)) == (octets,)


def test_cmp_H4_without_a_sender_kid_it_is_the_senders_cn_or_dn() -> None:
    header = a_header(sender_kid=None, sender=directory_name(LONG.public_bytes()))

    assert references_of(header) == (b"bench", b"CN=bench,O=Works")
    assert reference_of(header) == "bench"


def test_cmp_H4_a_sender_without_a_name_goes_by_nothing() -> None:
    header = a_header(sender_kid=None, sender=NOBODY)

    assert reference_of(header) == ""
    assert b"bench" not in references_of(header)


@pytest.mark.parametrize("reference", ["bench", "CN=bench,O=Works"])
async def test_cmp_H4_a_passcode_is_found_by_what_the_sender_is_called(reference: str) -> None:
    profile = an_enrollment_profile(
        initial_credentials=frozenset({CredentialKind.GROUP_SECRET}), subject_names_newcomers=True
    )
    site = await open_site(a_policy(a_group_to_join(), profile))
    terms = SecretTerms(reference=reference.encode())
    made = await secrets_of(site).add(GROUP, terms, actor=OPERATOR)
    request = site.request(by_code("dut-1", "unused", subject=a_name("dut-1")))
    header = a_header(sender_kid=None, sender=directory_name(LONG.public_bytes()))
    mac = SharedSecretMAC(
        username=reference_of(header),
        matches=lambda each: each == made.clear,
        exact=True,
        references=references_of(header),
    )

    result = await site.pipeline.handle(replace(request, credentials=(mac,)))

    assert isinstance(result, Issued)
    assert result.record.device_id == (await site.device("dut-1")).device_id
