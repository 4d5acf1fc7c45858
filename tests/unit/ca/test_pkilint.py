"""The watchman is watched: what pkilint should mind it minds, and nothing else is let through."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.builder import sign
from enroll.certificates import IssuanceOrder
from server.home import Home
from tests.support.authority import an_issuer, an_order
from tests.support.installation import Installation
from tests.support.lint import LintError, check_certificate, check_crl, check_home


def named(*names: x509.GeneralName) -> IssuanceOrder:
    return an_order(subject_alternative_names=names)


def bearing(oid: x509.ObjectIdentifier, value: str) -> IssuanceOrder:
    return an_order(subject=x509.Name([x509.NameAttribute(oid, value)]))


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (bearing(NameOID.DOMAIN_COMPONENT, "a b"), "invalid_domain_name"),
        (named(x509.UniformResourceIdentifier("pump-1")), "pkix.invalid_uri_syntax"),
        (named(x509.UniformResourceIdentifier("urn:x")), "pkix.invalid_uri_syntax"),
        (named(x509.UniformResourceIdentifier("urn:dev:<1>")), "pkix.invalid_uri_syntax"),
        (named(x509.UniformResourceIdentifier("http://pump:8080/")), "pkix.invalid_uri_syntax"),
        (named(x509.UniformResourceIdentifier("x://localhost/")), "pkix.invalid_uri_syntax"),
        (named(x509.DNSName("pump 1")), "pkix.invalid_domain_name_syntax"),
        (named(x509.DNSName("pump")), "pkix.invalid_domain_name_syntax"),
    ],
)
def test_security_S21_what_breaks_rfc_5280_is_found(order: IssuanceOrder, code: str) -> None:
    unlinted = sign(order, an_issuer())

    with pytest.raises(LintError, match=code):
        check_certificate(unlinted)


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier("urn:uuid:019a0000-0000-7000-8000-000000000001"),
        x509.UniformResourceIdentifier("http://localhost:8080/crl/issuing.crl"),
        x509.DNSName("localhost"),
    ],
)
def test_security_S21_the_one_exception_is_for_what_is_valid_all_the_same(
    name: x509.GeneralName,
) -> None:
    check_certificate(sign(named(name), an_issuer()))


def test_octets_that_are_no_revocation_list_are_told() -> None:
    with pytest.raises(ValueError, match=r"CRL|parse"):
        check_crl(b"\x30\x00")


def test_all_that_a_new_installation_holds_is_linted(tmp_path: Path) -> None:
    made = Installation.initialize(tmp_path / "home")

    linted = check_home(Home(made.home))

    assert linted >= 2  # Its root and its issuing CA; the rest comes with its first start.
