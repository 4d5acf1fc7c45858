"""What pkilint says of certificates and revocation lists: its PKIX linters, in this process."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import loader, pkix
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity, ValidatorContainer

from registry.engine import open_engine
from registry.tables import certificates, crls
from server.config.load import load_config
from server.home import Home

_MINDED = frozenset(
    {
        ValidationFindingSeverity.WARNING,
        ValidationFindingSeverity.ERROR,
        ValidationFindingSeverity.FATAL,
    }
)

# pkilint takes a URI or a DNS name without a dot for an invalid one. These are valid (RFC 3986,
# RFC 8141 §2, RFC 1034 §3.5), and the one exception to "nothing from WARNING on" (security S21).
_VALID_ALL_THE_SAME = {
    "pkix.invalid_uri_syntax": re.compile(
        r"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:[A-Za-z0-9._~!$&'()*+,;=:@/%-]+"
        r"|http://localhost(:[0-9]{1,5})?/[A-Za-z0-9._~/-]*"
    ),
    "pkix.invalid_domain_name_syntax": re.compile("localhost"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that pkilint minds, and where it found it."""

    severity: str
    code: str
    path: str
    message: str


class LintError(AssertionError):
    """What was issued breaks a rule of RFC 5280."""


def check_certificate(der: bytes) -> None:
    """Lint a certificate. Raises LintError."""
    document = loader.RFC5280CertificateDocumentLoader().load_der_document(der, "certificate")
    _check(_findings(_certificate_linter(), document.root), der)


def check_crl(der: bytes) -> None:
    """Lint a revocation list. Raises LintError."""
    document = loader.RFC5280CertificateListDocumentLoader().load_der_document(der, "CRL")
    _check(_findings(_crl_linter(), document.root), der)


def check_home(home: Home) -> int:
    """Lint all that an installation ever issued, and give how many that were.

    Its root and issuing CA, every certificate and every revocation list in its registry.
    """
    authorities = [
        x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
        for path in sorted((home.path / "ca").glob("root*.pem"))
        + sorted((home.path / "ca").glob("issuing*.pem"))
    ]
    url = home.database_url(load_config(home.configuration).database.url.get_secret_value())
    engine = open_engine(url, busy_timeout=5)
    try:
        with engine.connect() as connection:
            issued = connection.scalars(sa.select(certificates.c.der)).all()
            lists = connection.scalars(sa.select(crls.c.der)).all()
    finally:
        engine.dispose()
    for der in (*authorities, *issued):
        check_certificate(der)
    for der in lists:
        check_crl(der)
    return len(authorities) + len(issued) + len(lists)


def findings(der: bytes) -> list[Finding]:
    """Give what is found in a certificate, the exceptions left out."""
    document = loader.RFC5280CertificateDocumentLoader().load_der_document(der, "certificate")
    return list(_findings(_certificate_linter(), document.root))


def _check(found: Iterable[Finding], der: bytes) -> None:
    lines = [f"{each.severity} {each.code} at {each.path}: {each.message}" for each in found]
    if lines:
        raise LintError("\n".join([*lines, der.hex()]))


def _findings(linter: ValidatorContainer, root: object) -> Iterator[Finding]:
    for result in linter.validate(root):
        for each in result.finding_descriptions:
            code, severity = each.finding.code, each.finding.severity
            valid = _VALID_ALL_THE_SAME.get(code)
            excepted = valid is not None and valid.fullmatch(str(result.node.pdu)) is not None
            if severity in _MINDED and not excepted:
                yield Finding(
                    severity=severity.name,
                    code=code,
                    path=result.node.path,
                    message=each.message or "",
                )


@lru_cache
def _certificate_linter() -> ValidatorContainer:
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(
            name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
        ),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


@lru_cache
def _crl_linter() -> ValidatorContainer:
    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
