"""What a client is told of a certificate that is not what it asked for, at once or after a wait."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc2459

from enroll.profiles import Approval
from protocols.cmp.messages import BodyType
from tests.support.approvals import approve
from tests.support.builders import a_group, a_policy
from tests.support.cmp import integer
from tests.support.cmp_conversation import FAIL_INFO, Client, by_secret
from tests.support.crmf import a_cert_request, a_message, signature_over
from tests.support.csr import Key, a_csr, a_name, sequence, some_key_usage
from tests.support.enrollment import Site, a_new_key, an_issuer, open_site

ACCEPTED, GRANTED_WITH_MODS, WAITING = 0, 1, 3
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
NO_CA = x509.BasicConstraints(ca=False, path_length=None)
POLICIES = x509.CertificatePolicies(
    [x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), policy_qualifiers=None)]
)
POLL = sequence(sequence(integer(0)))
DNS = [x509.DNSName("pump-1.example")]
Change = Callable[[Any], None]


def nothing(template: Any) -> None:
    """Leave a template as it is."""


def a_validity(template: Any) -> None:
    template["validity"]["notAfter"]["utcTime"] = "361125120000Z"


def an_issuer_name(name: x509.Name) -> Change:
    def put(template: Any) -> None:
        found, _ = decoder.decode(name.public_bytes(), asn1Spec=rfc2459.Name())
        template["issuer"][0] = found[0]

    return put


def content(key: Key, change: Change = nothing, **wishes: Any) -> bytes:
    """Make the content of an ir for a template that is changed before it is signed."""
    request = a_cert_request(key, number=0, **{"subject": a_name("pump-1"), **wishes})
    change(request["certTemplate"])
    return sequence(a_message(request, signature_over(encoder.encode(request), key)))


WISHES: dict[str, tuple[int, Change, dict[str, Any]]] = {
    "the registry's name": (ACCEPTED, nothing, {}),
    "the usages of the profile": (
        ACCEPTED,
        nothing,
        {"extensions": [some_key_usage(digital_signature=True), CLIENT]},
    ),
    "no CA": (ACCEPTED, nothing, {"extensions": [NO_CA]}),
    "the issuer that issues": (ACCEPTED, an_issuer_name(an_issuer().certificate.subject), {}),
    "another name": (GRANTED_WITH_MODS, nothing, {"subject": a_name("nobody-9")}),
    "alternative names": (GRANTED_WITH_MODS, nothing, {"names": DNS}),
    "another usage": (
        GRANTED_WITH_MODS,
        nothing,
        {"extensions": [some_key_usage(digital_signature=True, content_commitment=True)]},
    ),
    "a usage of CAs": (
        GRANTED_WITH_MODS,
        nothing,
        {"extensions": [some_key_usage(digital_signature=True, key_cert_sign=True)]},
    ),
    "another purpose": (GRANTED_WITH_MODS, nothing, {"extensions": [SERVER]}),
    "another extension": (GRANTED_WITH_MODS, nothing, {"extensions": [POLICIES]}),
    "a validity": (GRANTED_WITH_MODS, a_validity, {}),
    "another issuer": (GRANTED_WITH_MODS, an_issuer_name(a_name("another CA")), {}),
}


def a_version(number: int) -> Change:
    def put(template: Any) -> None:
        template["version"] = number

    return put


def a_serial_number(template: Any) -> None:
    template["serialNumber"] = 7


def a_signing_algorithm(template: Any) -> None:
    template["signingAlg"]["algorithm"] = "1.2.840.10045.4.3.2"


def an_issuer_identifier(template: Any) -> None:
    template["issuerUID"] = "'01'B"


def a_subject_identifier(template: Any) -> None:
    template["subjectUID"] = "'01'B"


def an_empty_subject(template: Any) -> None:
    found, _ = decoder.decode(b"\x30\x00", asn1Spec=rfc2459.Name())
    template["subject"][0] = found[0]


EACH_WISH = pytest.mark.parametrize("wish", WISHES)


async def a_client(site: Site) -> Client:
    await site.register("pump-1")
    return by_secret(site, "pump-1", await site.code("pump-1"))


@pytest.mark.parametrize(
    "change",
    [
        a_version(0),
        a_version(1),
        a_serial_number,
        a_signing_algorithm,
        an_issuer_identifier,
        a_subject_identifier,
        an_empty_subject,
    ],
)
async def test_cmp_O2_a_template_that_asks_for_what_it_must_not_is_refused(change: Change) -> None:
    site = await open_site()
    client = await a_client(site)

    answer = await client.send(BodyType.IR, content(a_new_key(), change))

    assert (answer.kind, answer.fail_info) == (BodyType.IP, {FAIL_INFO["badCertTemplate"]})
    assert not await site.certificates()


async def test_cmp_O2_version_3_may_be_said() -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.IR, content(a_new_key(), a_version(2)))

    assert answer.status == ACCEPTED


@EACH_WISH
async def test_cmp_O2_what_was_changed_is_told_as_a_modification(wish: str) -> None:
    expected, change, wishes = WISHES[wish]
    client = await a_client(await open_site())

    answer = await client.send(BodyType.IR, content(a_new_key(), change, **wishes))

    assert (answer.kind, answer.status) == (BodyType.IP, expected)


@EACH_WISH
async def test_cmp_O2_it_is_told_so_at_the_end_of_polling_as_well(wish: str) -> None:
    expected, change, wishes = WISHES[wish]
    site = await open_site(a_policy(a_group(approval=Approval.MANUAL)))
    client = await a_client(site)

    client.heard = await client.send(BodyType.IR, content(a_new_key(), change, **wishes))
    await approve(site)
    # The second time as a client does to which the answer did not come.
    answers = [await client.send(BodyType.POLL_REQ, POLL) for _ in range(2)]

    assert client.heard.status == WAITING
    assert [each.status for each in answers] == [expected] * 2


@pytest.mark.parametrize("subject", ["pump-1", "nobody-9"])
async def test_cmp_O2_a_p10cr_is_told_the_same(subject: str) -> None:
    client = await a_client(await open_site())

    answer = await client.send(BodyType.P10CR, a_csr(a_new_key(), subject=a_name(subject)))

    assert answer.status == (ACCEPTED if subject == "pump-1" else GRANTED_WITH_MODS)
