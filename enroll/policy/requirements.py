"""What a request should hold: read off the profiles, and off the registry's device if known."""

from collections.abc import Iterable, Mapping

from cryptography import x509

from enroll.device import Device
from enroll.options import CSRAttributesStyle, LinkingRule
from enroll.policy.keys import fitting_key_usage
from enroll.policy.names import (
    ATTRIBUTE_TYPES,
    alternative_names_for,
    general_name,
    placeholders_in,
    same_alternative_names,
    same_text,
    subject_for,
)
from enroll.policy.profiles import purpose_oid
from enroll.profiles import (
    SIGNING,
    CertificateProfile,
    EnrollmentProfile,
    KeyAlgorithm,
    KeyUsageBit,
    ProtocolName,
)
from enroll.request import CertificateRequest
from enroll.requirements import (
    AlternativeNameKind,
    RequestRequirements,
    WantedAttribute,
    WantedName,
)

KNOWN_TO_DEVICES = frozenset({"name", "serial"})
"""What a device can say of itself; the rest of it is only the registry's to fill in."""

_SHORT = {oid: name for name, oid in ATTRIBUTE_TYPES.items()}
_KINDS: Mapping[type[x509.GeneralName], AlternativeNameKind] = {
    x509.UniformResourceIdentifier: AlternativeNameKind.URI,
    x509.DNSName: AlternativeNameKind.DNS,
    x509.RFC822Name: AlternativeNameKind.EMAIL,
    x509.IPAddress: AlternativeNameKind.IP,
}


def requirements_of(
    profile: EnrollmentProfile, template: CertificateProfile, device: Device | None
) -> RequestRequirements:
    """Describe a good request: with the names of a proven device, or with places for them.

    Of a device that is not proven nothing is said. Raises PolicyViolation if the profile gives the
    device impossible names.
    """
    return RequestRequirements(
        key=wanted_key(template.key_algorithms),
        subject=_subject(template, device),
        alternative_names=_alternative_names(template, device),
        key_usage=_key_usage(template),
        extended_key_usage=tuple(
            x509.ObjectIdentifier(purpose_oid(each)) for each in template.extended_key_usage
        ),
        channel_binding=profile.est.linking is LinkingRule.REQUIRED,
    )


def missing_from(
    request: CertificateRequest, wanted: RequestRequirements, *, names: bool
) -> tuple[str, ...]:
    """Name what a request lacks of what it should hold, but for its key and channel binding.

    Without `names`, those are not looked at: a renewal has the names that it renews.
    """
    missing = []
    if names:
        missing += [_SHORT[each.type] for each in wanted.subject if not _has(request, each)]
        found = request.subject_alternative_names or ()
        if not all(_is_among(each, found) for each in wanted.alternative_names):
            missing.append("subjectAltName")
    if not wanted.key_usage <= (request.key_usage or frozenset()):
        missing.append("keyUsage")
    if not (request.extended_key_usage or frozenset()).issuperset(wanted.extended_key_usage):
        missing.append("extendedKeyUsage")
    return tuple(missing)


def _has(request: CertificateRequest, wanted: WantedAttribute) -> bool:
    values = [each.value for each in request.subject if each.oid == wanted.type]
    if wanted.value is None:
        return bool(values)
    return any(isinstance(each, str) and same_text(each, wanted.value) for each in values)


def _is_among(wanted: WantedName, names: tuple[x509.GeneralName, ...]) -> bool:
    value = wanted.value
    if value is None:
        return any(_KINDS.get(type(each)) is wanted.kind for each in names)
    return any(same_alternative_names((each,), (value,)) for each in names)


def wanted_key(allowed: Iterable[KeyAlgorithm]) -> KeyAlgorithm | None:
    """Name the key to be made, if only one type of key is allowed: of several sizes the least.

    Where types are allowed that have nothing in common, none of them is demanded; and none that
    cannot sign the request.
    """
    kept = [each for each in KeyAlgorithm if each in SIGNING.intersection(allowed)]
    types = {_key_type(each) for each in kept}
    return kept[0] if len(types) == 1 else None


def untold_keys(profile: EnrollmentProfile, template: CertificateProfile) -> str | None:
    """Say which demand on keys devices cannot learn from /csrattrs, if there is one.

    RFC 8951 §4: what a CA demands of keys is to be told, and only one type of key can be.
    """
    allowed = template.key_algorithms
    if ProtocolName.EST not in profile.protocols or allowed.issuperset(SIGNING):
        return None
    if profile.est.csr_attributes is not CSRAttributesStyle.NONE and wanted_key(allowed):
        return None
    return f"profile {profile.slug!r} takes only {', '.join(sorted(allowed))} keys"


def _key_type(algorithm: KeyAlgorithm) -> str:
    """Name what a key's algorithm identifier tells of it, whatever its parameters are."""
    family = algorithm.value.partition("-")[0]
    return family if family in {"rsa", "p"} else algorithm.value


def _subject(template: CertificateProfile, device: Device | None) -> tuple[WantedAttribute, ...]:
    if device is not None:
        return tuple(
            WantedAttribute(type=each.oid, value=str(each.value))
            for each in subject_for(device, template)
        )
    wanted = []
    for key, text in template.subject:
        places = placeholders_in(text)
        if places <= KNOWN_TO_DEVICES:
            value = None if places else text
            wanted.append(WantedAttribute(type=ATTRIBUTE_TYPES[key], value=value))
    return tuple(wanted)


def _alternative_names(
    template: CertificateProfile, device: Device | None
) -> tuple[WantedName, ...]:
    if device is not None:
        return tuple(
            WantedName(kind=_KINDS[type(each)], value=each)
            for each in alternative_names_for(device, template)
        )
    wanted = []
    for kind, text in template.subject_alternative_names:
        places = placeholders_in(text)
        if places <= KNOWN_TO_DEVICES:
            value = None if places else general_name(kind, text)
            wanted.append(WantedName(kind=AlternativeNameKind(kind), value=value))
    return tuple(wanted)


def _key_usage(template: CertificateProfile) -> frozenset[KeyUsageBit]:
    """Give the usages that every key that may be made can have."""
    wanted = wanted_key(template.key_algorithms)
    usage = template.key_usage
    possible = template.key_algorithms & SIGNING if wanted is None else (wanted,)
    for algorithm in possible:
        usage = fitting_key_usage(algorithm, usage)
    return usage
