"""Name constraints (RFC 5280 §4.2.1.10): which names the CAs of a path let the next ones have."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.policy.names import comparable_name
from enroll.policy.paths.certificates import UNREADABLE, PathCertificate
from enroll.policy.paths.faults import PathError, PathFault

MOST_COMPARISONS = 20_000
"""How many names may be held against how many subtrees, in one path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What one CA's certificate demands of every name below it."""

    title: str
    permitted: tuple[x509.GeneralName, ...]
    excluded: tuple[x509.GeneralName, ...]


class NameConstraints:
    """The constraints gathered on the way down one path.

    Each CA's are kept apart: a name must satisfy all of them, which is the intersection of the
    permitted subtrees and the union of the excluded ones.
    """

    def __init__(self) -> None:
        self._layers: list[_Layer] = []
        self._comparisons = 0

    def add(self, authority: PathCertificate) -> None:
        """Take up what a CA's certificate says. Raises PathError if it cannot be read."""
        found = authority.extension(x509.NameConstraints)
        if found is not None:
            self._layers.append(
                _Layer(
                    title=authority.title,
                    permitted=tuple(found.permitted_subtrees or ()),
                    excluded=tuple(found.excluded_subtrees or ()),
                )
            )

    def check(self, certificate: PathCertificate) -> None:
        """Hold every name of a certificate against them. Raises PathError."""
        if not self._layers:
            return
        try:
            for name in _names(certificate):
                for layer in self._layers:
                    self._check(name, layer, certificate)
        except UNREADABLE as error:
            raise PathError(
                PathFault.NAME_CONSTRAINTS,
                f"the names of {certificate.title} cannot be held against the constraints "
                f"above it: {error}",
            ) from error

    def _check(self, name: x509.GeneralName, layer: _Layer, certificate: PathCertificate) -> None:
        self._comparisons += len(layer.permitted) + len(layer.excluded)
        if self._comparisons > MOST_COMPARISONS:
            raise PathError(
                PathFault.PATH_TOO_COMPLEX, "the path has too many names and constraints"
            )
        if any(_within(name, each) for each in _of_form(name, layer.excluded)):
            raise _violated(name, layer, certificate, "excludes")
        permitted = list(_of_form(name, layer.permitted))
        if permitted and not any(_within(name, each) for each in permitted):
            raise _violated(name, layer, certificate, "does not permit")


def _names(certificate: PathCertificate) -> list[x509.GeneralName]:
    """Give all names of a certificate as general names, those in its subject included."""
    names: list[x509.GeneralName] = []
    subject = certificate.certificate.subject
    if subject.rdns:
        names.append(x509.DirectoryName(subject))
    alternative = certificate.extension(x509.SubjectAlternativeName)
    names.extend(alternative or ())
    # Legacy addresses stand in the subject. RFC 5280 asks to look there where there is no
    # alternative name; they are names of the subject in any case, and so are held to it.
    names.extend(
        x509.RFC822Name(str(each.value))
        for each in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    )
    return names


def _of_form(
    name: x509.GeneralName, subtrees: Iterable[x509.GeneralName]
) -> Iterable[x509.GeneralName]:
    """Give the subtrees that speak of names of this form; of other names, of their type."""
    for each in subtrees:
        if type(each) is type(name) and (
            not isinstance(each, x509.OtherName)
            or (isinstance(name, x509.OtherName) and each.type_id == name.type_id)
        ):
            yield each


def _within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    """Tell whether a name lies within a subtree of its form. Raises ValueError if none can tell."""
    match name, subtree:
        case x509.DirectoryName(), x509.DirectoryName():
            base = comparable_name(subtree.value)
            return comparable_name(name.value)[: len(base)] == base
        case x509.DNSName(), x509.DNSName():
            return _dns_within(name.value, subtree.value)
        case x509.RFC822Name(), x509.RFC822Name():
            return _mail_within(name.value, subtree.value)
        case x509.UniformResourceIdentifier(), x509.UniformResourceIdentifier():
            return _host_within(_host(name.value), subtree.value)
        case x509.IPAddress(), x509.IPAddress():
            return _address_within(name.value, subtree.value)
        case _:
            raise ValueError(f"constraints on {type(name).__name__} are not understood")


def _dns_within(name: str, base: str) -> bool:
    name, base = name.lower().removesuffix("."), base.lower().removesuffix(".")
    if base.startswith("."):  # Not RFC 5280; everyone who writes it means names below.
        return name.endswith(base)
    return not base or name == base or name.endswith(f".{base}")


def _mail_within(name: str, base: str) -> bool:
    local, _, host = name.rpartition("@")
    if "@" in base:
        wanted, _, wanted_host = base.rpartition("@")
        return local == wanted and host.lower() == wanted_host.lower()
    return _host_within(host, base)


def _host_within(host: str, base: str) -> bool:
    host, base = host.lower().removesuffix("."), base.lower()
    return host.endswith(base) if base.startswith(".") else host == base


def _host(uri: str) -> str:
    """Give the host of a URI, which must be a domain name. Raises ValueError."""
    host = urlsplit(uri).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host:
            return host
    raise ValueError(f"the URI {uri[:80]!r} names no host")


def _address_within(address: object, network: object) -> bool:
    match address, network:
        case ipaddress.IPv4Address(), ipaddress.IPv4Network():
            return address in network
        case ipaddress.IPv6Address(), ipaddress.IPv6Network():
            return address in network
        case _:
            return False


def _violated(
    name: x509.GeneralName, layer: _Layer, certificate: PathCertificate, what: str
) -> PathError:
    shown = name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else name.value
    return PathError(
        PathFault.NAME_CONSTRAINTS,
        f"{layer.title} {what} the name {str(shown)[:120]} of {certificate.title}",
    )
