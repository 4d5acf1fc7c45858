"""Who brings messages of others, and may: a registration authority (RFC 9483 §5.2.2)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from enroll.failures import EnrollmentError, NotAuthorized
from enroll.policy.registration_authorities import appointed_with, check_may_speak
from enroll.ports import Registry, UnitOfWork
from enroll.request import NO_REQUEST_YET, EnrollmentRequest, Operation, RelayRequest
from enroll.result import Rejected, Relayed
from enroll.stages.address import address
from enroll.stages.own_certificate import CheckOwn, issued_here
from enroll.stages.third_party import ThirdParty
from enroll.trace import DecisionTrace

CHECK = "registration authority"

Rejecting = Callable[[EnrollmentError, DecisionTrace], Awaitable[Rejected]]


class Relays:
    """Proves the authority and nothing else: what it brings is judged as if it had come alone.

    So the profile need not list `ra` among its credentials: bringing a message enrolls nobody.
    What is refused is recorded; else each message that was brought leaves an attempt of its own.
    """

    def __init__(
        self,
        registry: Registry,
        check_own: CheckOwn,
        third_party: ThirdParty,
        reject: Rejecting,
    ) -> None:
        self._registry = registry
        self._check_own = check_own
        self._third_party = third_party
        self._reject = reject

    async def __call__(self, relay: RelayRequest) -> Relayed | Rejected:
        trace = DecisionTrace(origin=relay.origin)
        try:
            async with self._registry.unit_of_work() as uow:
                return Relayed(authority=await self._name(relay, uow, trace))
        except EnrollmentError as error:
            return await self._reject(error, trace)

    async def _name(self, relay: RelayRequest, uow: UnitOfWork, trace: DecisionTrace) -> str:
        """Prove the authority. Raises NotAuthorized, EnrollmentError."""
        request = EnrollmentRequest(
            origin=relay.origin,
            operation=Operation.INITIAL,
            certificate_request=NO_REQUEST_YET,
            credentials=(relay.signer,),
        )
        step = await address(request, uow, trace)
        record = await issued_here(relay.signer, uow)
        if record is None:
            return (await self._third_party.authority(step, relay.signer, uow, trace)).name
        await self._check_own(record, timedelta(0), uow, trace)
        anchor = appointed_with(step.tenant.tenant_id, record.der, step.policy)
        if anchor is None:
            trace.failed(CHECK, f"a {record.profile} certificate")
            raise NotAuthorized(
                "only a registration authority brings messages of others; "
                "see 'enroll trust appoint'",
                finding="relay_not_authorized",
            )
        try:
            check_may_speak(anchor, step.profile, record)
        except EnrollmentError as error:
            trace.failed(CHECK, error.finding)
            raise
        trace.passed(CHECK, anchor.name)
        return anchor.name
