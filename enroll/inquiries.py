"""What a device is told of the request that it should make, before it makes one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from enroll.certificates import CertificateStatus
from enroll.credentials import CredentialKind
from enroll.device import Device, DeviceStatus
from enroll.failures import AuthorityUnavailable, EnrollmentError, NotAuthorized
from enroll.policy.requirements import requirements_of
from enroll.ports import Registry, UnitOfWork
from enroll.request import NO_REQUEST_YET, EnrollmentRequest, Inquiry, Operation
from enroll.result import Described
from enroll.shared_secrets import SECRET_SHARED
from enroll.stages.address import address
from enroll.stages.identify import identify
from enroll.steps import Addressed, Authenticated
from enroll.trace import DecisionTrace
from enroll.trials import SecretTrier, Untried

Authenticating = Callable[[Addressed, UnitOfWork, DecisionTrace], Awaitable[Authenticated]]


_NOT_REGISTERED = "not_registered_yet"
_MEMBERS = frozenset({SECRET_SHARED, _NOT_REGISTERED})


class Inquiries:
    """Tells a proven device the names that the registry gives it, anybody else what all are told.

    The credential may be good for a renewal or for a first enrollment. Nothing is recorded: who
    asks what to ask for has not enrolled.
    """

    def __init__(
        self, registry: Registry, authenticate: Authenticating, secret_trier: SecretTrier
    ) -> None:
        self._registry = registry
        self._secret_trier = secret_trier
        self._authenticate = authenticate

    async def __call__(self, inquiry: Inquiry) -> Described:
        """Answer, or raise AuthorityUnavailable, or EnrollmentError if nobody enrolls here."""
        while True:
            try:
                return await self._describe(inquiry)
            except Untried as untried:
                await self._secret_trier.try_all(untried.answer, untried.secrets)

    async def _describe(self, inquiry: Inquiry) -> Described:
        async with self._registry.unit_of_work() as uow:
            renewal = await _described_for(inquiry, Operation.RENEWAL, self._authenticate, uow)
            if renewal.refused is None:
                return renewal
            return await _described_for(inquiry, Operation.INITIAL, self._authenticate, uow)


async def _described_for(
    inquiry: Inquiry, operation: Operation, authenticate: Authenticating, uow: UnitOfWork
) -> Described:
    addressed, trace = await _addressed(inquiry, operation, uow)
    try:
        return _described(addressed, await _device(addressed, authenticate, uow, trace))
    except AuthorityUnavailable:
        raise
    except EnrollmentError as error:
        is_member = error.finding in _MEMBERS or trace.registration_authority is not None
        return replace(_described(addressed, None), refused=error, is_member=is_member)


async def _addressed(
    inquiry: Inquiry, operation: Operation, uow: UnitOfWork
) -> tuple[Addressed, DecisionTrace]:
    request = EnrollmentRequest(
        origin=inquiry.origin,
        operation=operation,
        certificate_request=NO_REQUEST_YET,
        credentials=inquiry.credentials,
    )
    trace = DecisionTrace(origin=inquiry.origin, request=request)
    return await address(request, uow, trace), trace


async def _device(
    addressed: Addressed, authenticate: Authenticating, uow: UnitOfWork, trace: DecisionTrace
) -> Device:
    """Prove a device that could enroll now, and no other than this. Raises EnrollmentError."""
    step = await identify(await authenticate(addressed, uow, trace), uow, trace)
    if step.authenticated.authentication.kind is CredentialKind.GROUP_SECRET:
        raise NotAuthorized("any member of the group could ask so", finding=SECRET_SHARED)
    if step.authenticated.newcomer is not None:
        raise NotAuthorized("it has no names here before it enrolls", finding=_NOT_REGISTERED)
    shown = step.authenticated.presented
    on_hold = shown is not None and shown.status is CertificateStatus.ON_HOLD
    if on_hold or step.device.status is DeviceStatus.DISABLED:
        raise NotAuthorized("the device is disabled", finding="device_disabled")
    return step.device


def _described(addressed: Addressed, device: Device | None) -> Described:
    profile = addressed.profile
    template = addressed.policy.certificate_profiles[
        (profile.tenant_id, profile.certificate_profile)
    ]
    return Described(
        profile=profile,
        certificate_profile=template,
        requirements=requirements_of(profile, template, device),
    )
