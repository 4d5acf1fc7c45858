"""A device that nobody registered joins a group by what it proved, where the group lets it (T-05).

It is stored together with what it gets: its certificate, or the order that waits for a person.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.credentials import CredentialKind
from enroll.device import (
    TRANSITIONS,
    Cause,
    Device,
    DeviceIdentity,
    DeviceSource,
    DeviceState,
    IdentityKind,
    new_id,
)
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated, NotAuthorized
from enroll.orders import Order
from enroll.policy.approval import application, needs_decision
from enroll.policy.chronicle import Chronicle
from enroll.policy.device_names import objection_to_name
from enroll.policy.identities import IdentityFormatError, to_identity
from enroll.policy.paths.faults import printable
from enroll.policy.third_party import Proof
from enroll.ports import Clock, Randomness, UnitOfWork
from enroll.profiles import DeviceGroup, GroupStatus, RegistrationMode
from enroll.request import Operation
from enroll.steps import Addressed, Authenticated
from enroll.tallies import day_of, newcomers_of
from enroll.trace import DecisionTrace, Joining
from enroll.trust import TrustAnchor

CHECK = "newcomer"
_KEPT = (
    IdentityKind.SERIAL_NUMBER,
    IdentityKind.SAN_URI,
    IdentityKind.SAN_DNS,
    IdentityKind.HW_MODULE_NAME,
)
"""What stays known of a device from the certificate that it came with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Introduction:
    """What a newcomer says of itself, or its certificate of it."""

    name: str
    identities: tuple[DeviceIdentity, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


class Newcomers:
    """Makes the device that an unknown caller is to be; the last stages store it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def by_passcode(
        self, step: Addressed, group: DeviceGroup, uow: UnitOfWork, trace: DecisionTrace
    ) -> Device:
        """Take the subject's word for who it is: whoever has the passcode may be anybody new.

        Raises NotAuthenticated where nobody joins like that, NotAuthorized.
        """
        closed = _why_closed(group)
        if closed is None and not step.profile.subject_names_newcomers:
            closed = (
                "identity_unknown",
                f"profile {step.profile.slug!r} takes no names of requests",
            )
        if closed is not None:
            trace.failed(CHECK, closed[0])
            raise NotAuthenticated(f"the passcode is good, and {closed[1]}", finding=closed[0])
        subject = step.request.certificate_request.subject
        trace.joining = Joining(name=printable(subject.rfc4514_string())[:200], group=group.name)
        with_what = CredentialKind.GROUP_SECRET
        return await self._join(step, group, _introduced_by(subject), with_what, uow, trace)

    async def by_certificate(
        self,
        step: Addressed,
        anchor: TrustAnchor,
        proven: Proof,
        kind: CredentialKind,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Device:
        """Register who the certificate says it is.

        Raises EnrollmentError (UNKNOWN_DEVICE) where nobody joins like that, NotAuthorized.
        """
        group = step.policy.group_named(step.tenant.tenant_id, anchor.newcomers_join or "")
        closed = ("identity_unknown", f"trust anchor {anchor.name!r} lets nobody join a group")
        why = _why_closed(group) if group is not None else closed
        if group is None or why is not None:
            finding, detail = why or closed
            raise EnrollmentError(
                FailureReason.UNKNOWN_DEVICE, f"no such device, and {detail}", finding=finding
            )
        said = ", ".join(sorted(f"{each.kind}={each.value}" for each in proven.identities))
        trace.joining = Joining(name=printable(said)[:200], group=group.name)
        return await self._join(step, group, _proven_by(proven, anchor), kind, uow, trace)

    async def _join(
        self,
        step: Addressed,
        group: DeviceGroup,
        introduction: _Introduction | str,
        kind: CredentialKind,
        uow: UnitOfWork,
        trace: DecisionTrace,
    ) -> Device:
        if isinstance(introduction, str):
            raise _refused(trace, "newcomer_name", introduction)
        trace.joining = Joining(name=introduction.name, group=group.name)
        await _check_free(introduction, group, uow, trace)
        now = self._clock.now()
        count = await uow.tallies.read(newcomers_of(group.group_id), day_of(now))
        if count >= group.newcomers_per_day:
            raise _refused(
                trace,
                "newcomers_limit",
                f"{count} devices joined group {group.name!r} today; see its newcomers_per_day",
            )
        origin = step.request.origin
        # The same however often this request is decided anew: others may be asked about it.
        octets = sha256(f"{origin.correlation_id}:{introduction.name}".encode()).digest()
        device = Device(
            device_id=new_id(origin.received_at, octets),
            tenant_id=group.tenant_id,
            group_id=group.group_id,
            name=introduction.name,
            state=TRANSITIONS[None, Cause.REGISTER],
            identities=introduction.identities,
            attributes=introduction.attributes,
            description=f"joined from {origin.peer_address}",
            source=DeviceSource.AUTO.value,
            created_at=now,
            updated_at=now,
        )
        waits = DeviceSource.AUTO in group.device_approval or needs_decision(
            device, group, Operation.INITIAL, kind
        )
        trace.passed(CHECK, f"{device.name} joins {group.name}" + (", if let in" if waits else ""))
        return replace(device, state=TRANSITIONS[None, Cause.APPLY]) if waits else device


def stage_newcomer(device: Device, group: DeviceGroup, uow: UnitOfWork) -> None:
    """Stage the device itself, and count it."""
    uow.devices.add(device)
    uow.tallies.take(
        newcomers_of(group.group_id),
        most=group.newcomers_per_day,
        period=day_of(device.created_at),
    )


def stage_application(
    device: Device, group: DeviceGroup, actor: str, randomness: Randomness, uow: UnitOfWork
) -> Order | None:
    """Stage the order by which a person lets the device in, if one has to."""
    if device.state is not DeviceState.PENDING_APPROVAL:
        return None
    order_id = new_id(device.created_at, randomness.octets(10))
    order = application(device, group, order_id, actor)
    uow.orders.add(order)
    return order


def joined(
    device: Device, group: DeviceGroup, by: Authenticated, chronicle: Chronicle
) -> EnrollmentEvent:
    """Tell that a device registered itself, and on what."""
    origin, proof = by.addressed.request.origin, by.authentication
    anchor = by.third_party.anchor if by.third_party is not None else None
    return chronicle.event(
        EventName.DEVICE_AUTO_PROVISIONED,
        device.device_id,
        device_name=device.name,
        group=group.name,
        after=device.state.value,
        protocol=origin.protocol.value,
        peer_address=origin.peer_address,
        credential=proof.kind.value,
        **({"secret": proof.credential_id} if proof.group_secret is not None else {}),
        **({"anchor": anchor, "certificate": proof.credential_id} if anchor is not None else {}),
    )


def _why_closed(group: DeviceGroup) -> tuple[str, str] | None:
    """Say why nobody joins this group of themselves, if so: a finding, and words."""
    if group.registration_mode is not RegistrationMode.JUST_IN_TIME:
        return "identity_unknown", f"group {group.name!r} has registration_mode=pre_registered"
    if group.status is GroupStatus.DISABLED:
        return "group_disabled", f"group {group.name!r} is disabled and takes no new devices"
    return None


def _introduced_by(subject: x509.Name) -> _Introduction | str:
    """Read name and serial number from a request's subject, or say why that cannot be."""
    names = _values(subject, NameOID.COMMON_NAME)
    numbers = _values(subject, NameOID.SERIAL_NUMBER)
    if len(names) > 1 or len(numbers) > 1 or not (names or numbers):
        return "the subject needs one CN or one serialNumber to be the device's name"
    return _introduction((names or numbers)[0], numbers)


def _proven_by(proven: Proof, anchor: TrustAnchor) -> _Introduction | str:
    """Name the device as its certificate does: by its CN where that is proven, or its number."""
    names = sorted(proven.names)
    numbers = sorted(
        each.value for each in proven.identities if each.kind is IdentityKind.SERIAL_NUMBER
    )
    if len(names or numbers) != 1:
        return "the certificate proves no one CN or serialNumber to be the device's name"
    found = _introduction((names or numbers)[0], ())
    if isinstance(found, str):
        return found
    kept = [each for kind in _KEPT for each in proven.identities if each.kind is kind]
    maker = anchor.manufacturer
    return replace(
        found,
        identities=tuple(kept),
        attributes={"manufacturer": maker} if maker is not None else {},
    )


def _introduction(name: str, numbers: Iterable[str]) -> _Introduction | str:
    objection = objection_to_name(name)
    if objection is not None:
        return objection
    try:
        # What firmware says where nobody wrote a number is no name either.
        to_identity(IdentityKind.SERIAL_NUMBER, name)
        identities = tuple(to_identity(IdentityKind.SERIAL_NUMBER, each) for each in numbers)
    except IdentityFormatError as error:
        return str(error)
    return _Introduction(name=name, identities=identities)


async def _check_free(
    introduction: _Introduction, group: DeviceGroup, uow: UnitOfWork, trace: DecisionTrace
) -> None:
    """Demand that name and identities are nobody's, not even a deleted device's."""
    kind = IdentityKind.SERIAL_NUMBER
    numbers = {each.value for each in introduction.identities if each.kind is kind}
    as_number = DeviceIdentity(kind=kind, value=introduction.name)
    found = await uow.devices.named_by(
        group.tenant_id, {introduction.name, *numbers}, {*introduction.identities, as_number}
    )
    if not found:
        return
    trace.rivals = tuple(sorted(found))
    known = [await uow.devices.by_id(each) for each in trace.rivals]
    deleted = all(each is None or each.state is DeviceState.DELETED for each in known)
    raise _refused(
        trace,
        "identity_tombstoned" if deleted else "identity_taken",
        f"{introduction.name!r} or a number of it is that of {', '.join(trace.rivals)}",
    )


def _refused(trace: DecisionTrace, finding: str, detail: str) -> NotAuthorized:
    trace.failed(CHECK, finding)
    return NotAuthorized(detail, finding=finding, field="subject")


def _values(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    found = [each.value for each in subject.get_attributes_for_oid(oid)]
    return [unicodedata.normalize("NFC", str(each).strip()) for each in found]
