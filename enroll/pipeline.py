"""The stages in their order, and the one place where an EnrollmentError becomes Rejected."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from enroll.events import Attempt, EnrollmentEvent, EventName, Outcome
from enroll.failures import (
    AlreadyTaken,
    AuthorityUnavailable,
    ConcurrentChange,
    EnrollmentError,
    FailureReason,
    RateLimited,
    RegistryUnavailable,
)
from enroll.key_generation import GeneratedKey, KeyWish
from enroll.policy.chronicle import Chronicle
from enroll.policy.keys import spki_of
from enroll.ports import (
    CertificateAuthority,
    Clock,
    CodeVault,
    KeyGenerator,
    Randomness,
    Registry,
    UnitOfWork,
)
from enroll.request import EnrollmentRequest, RequestOrigin, accepted_credentials
from enroll.result import EnrollmentResult, Issued, Rejected
from enroll.stages.address import address
from enroll.stages.authenticate import Authenticate
from enroll.stages.authorize import Authorize
from enroll.stages.comply import comply
from enroll.stages.identify import identify
from enroll.stages.issue import Issue
from enroll.stages.key_generation import PermitKey
from enroll.stages.plan import Plan
from enroll.stages.record import Record
from enroll.stages.third_party import ThirdParty
from enroll.steps import Authorized, Repeated
from enroll.trace import DecisionTrace

TRIES = 16
"""How often a request is decided anew because what it had read was changed meanwhile."""


class Pipeline:
    """From a proven-nothing request to a recorded result."""

    def __init__(
        self,
        *,
        registry: Registry,
        authority: CertificateAuthority,
        vault: CodeVault,
        clock: Clock,
        randomness: Randomness,
        key_generator: KeyGenerator,
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._clock = clock
        self._authenticate = Authenticate(vault, authority, clock, ThirdParty(clock))
        self._authorize = Authorize(clock)
        self._permit_key = PermitKey(vault, clock)
        self._key_generator = key_generator
        self._plan = Plan(authority, clock, randomness)
        self._issue = Issue(authority)
        self._record = Record(clock)

    async def handle(self, request: EnrollmentRequest) -> EnrollmentResult:
        """Decide a request. When this returns, the decision is durable."""
        trace = DecisionTrace(origin=request.origin, request=request)
        try:
            generated = None
            if request.key_wish is not None:
                request, generated = await self._with_key(request, request.key_wish, trace)
            for _ in range(TRIES):
                trace = DecisionTrace(origin=request.origin, request=request)
                try:
                    async with self._registry.unit_of_work() as uow:
                        return await self._decide(request, uow, trace, generated)
                except (ConcurrentChange, AlreadyTaken):
                    continue
            raise RegistryUnavailable("too many requests for one device at once", retry_after=1)
        except EnrollmentError as error:
            return await self._reject(error, trace)

    async def refuse(self, origin: RequestOrigin, error: EnrollmentError) -> Rejected:
        """Record and reject a message that could not be read as an EnrollmentRequest."""
        return await self._reject(error, DecisionTrace(origin=origin))

    async def _with_key(
        self, request: EnrollmentRequest, wish: KeyWish, trace: DecisionTrace
    ) -> tuple[EnrollmentRequest, GeneratedKey]:
        """Make a key for a request that may have one, and put it where a key of its own would be.

        What permitted it is decided anew with the key, in the unit of work that issues: that takes
        the time of a signature, and a key may take longer than anybody should be kept waiting.
        """
        async with self._registry.unit_of_work() as uow:
            decision = await self._permit(request, uow, trace)
            assert isinstance(decision, Authorized)  # noqa: S101 - without a key nothing is repeated
            permitted = await self._permit_key(decision, wish, uow, trace)
        device_id = decision.identified.device.device_id
        private_key = await self._key_generator.make(decision.key_algorithm, device_id)
        public_key = private_key.public_key()
        spki = spki_of(public_key)
        wanted = replace(
            request.certificate_request,
            public_key=public_key,
            spki=spki,
            spki_sha256=sha256(spki).hexdigest(),
        )
        made = GeneratedKey(private_key=private_key, recipient=permitted.recipient)
        return replace(request, certificate_request=wanted), made

    async def _permit(
        self, request: EnrollmentRequest, uow: UnitOfWork, trace: DecisionTrace
    ) -> Authorized | Repeated:
        addressed = await address(request, uow, trace)
        trace.profile = addressed.profile
        trace.accepted = accepted_credentials(addressed.profile, addressed.request.operation)
        authenticated = await self._authenticate(addressed, uow, trace)
        trace.proven = True
        identified = await identify(authenticated, uow, trace)
        comply(identified, trace)
        return await self._authorize(identified, uow, trace)

    async def _decide(
        self,
        request: EnrollmentRequest,
        uow: UnitOfWork,
        trace: DecisionTrace,
        generated: GeneratedKey | None,
    ) -> Issued:
        decision = await self._permit(request, uow, trace)
        if isinstance(decision, Repeated):
            chain = self._authority.chain(decision.record.issuer)
            uow.attempts.add(self._attempt(trace, Outcome.REPEATED, decision.record.serial_number))
            await uow.commit()
            return Issued(record=decision.record, chain=chain, repeated=True)
        planned = await self._plan(decision, uow, trace)
        signed = await self._issue(planned)
        record = self._record(signed, uow, trace)
        uow.attempts.add(self._attempt(trace, Outcome.ISSUED, record.serial_number))
        await uow.commit()
        self._plan.issued(record.issued_at)
        return Issued(record=record, chain=signed.issued.chain, generated=generated)

    async def _reject(self, error: EnrollmentError, trace: DecisionTrace) -> Rejected:
        """Record the refusal before it is told; if even that fails, the answer is unavailable."""
        if all(each.passed for each in trace.checks):
            trace.failed("issuing" if trace.request else "message", error.finding)
        retry_after = (
            error.retry_after if isinstance(error, AuthorityUnavailable | RateLimited) else None
        )
        rejected = Rejected(
            reason=error.reason,
            correlation_id=trace.origin.correlation_id,
            detail=error.detail,
            finding=error.finding,
            field=error.field,
            accepted=trace.accepted,
            profile=trace.profile,
            retry_after=retry_after,
        )
        try:
            async with self._registry.unit_of_work() as uow:
                uow.attempts.add(self._refused_attempt(error, trace))
                for event in self._denial_events(error, trace):
                    uow.events.append(event)
                await uow.commit()
        except RegistryUnavailable as unavailable:
            return replace(
                rejected,
                reason=unavailable.reason,
                detail=f"{error.finding}, and {unavailable.detail}",
                finding=unavailable.finding,
                field=None,
                retry_after=unavailable.retry_after,
            )
        return rejected

    def _attempt(
        self, trace: DecisionTrace, outcome: Outcome, serial_number: str | None = None
    ) -> Attempt:
        origin = trace.origin
        wanted = trace.request.certificate_request if trace.request else None
        elapsed = self._clock.now() - origin.received_at
        return Attempt(
            attempt_id=origin.correlation_id,
            occurred_at=origin.received_at,
            protocol=origin.protocol,
            operation=origin.operation,
            profile=origin.profile,
            peer_address=origin.peer_address,
            outcome=outcome,
            device_id=trace.device.device_id if trace.device else None,
            device_name=trace.device.name if trace.device else None,
            serial_number=serial_number,
            request_sha256=wanted.der_sha256 if wanted else None,
            spki_sha256=(wanted.spki_sha256 or None) if wanted else None,
            client_certificate_sha256=origin.client_certificate_sha256,
            trace=tuple(trace.checks),
            latency_us=max(0, elapsed // timedelta(microseconds=1)),
        )

    def _refused_attempt(self, error: EnrollmentError, trace: DecisionTrace) -> Attempt:
        return replace(
            self._attempt(trace, Outcome.FAILED if error.reason in _FAILED else Outcome.DENIED),
            reason=error.reason.value,
            finding=error.finding,
            detail=error.detail,
        )

    def _denial_events(
        self, error: EnrollmentError, trace: DecisionTrace
    ) -> tuple[EnrollmentEvent, ...]:
        """Write what a proven device was refused into its history; strangers leave none.

        What failed was not refused: an outage leaves attempts, and no more.

        A key that is another device's is told in the histories of both (clone case g).
        """
        if trace.device is None or error.reason in _FAILED:
            return ()
        if not (trace.proven or error.finding == "code_reused"):
            return ()
        chronicle = Chronicle(
            actor="system", at=self._clock.now(), correlation_id=trace.origin.correlation_id
        )
        name = _DENIALS.get(error.finding, EventName.ENROLLMENT_DENIED)
        facts: dict[str, object] = {
            "reason": error.reason.value,
            "finding": error.finding,
            "peer_address": trace.origin.peer_address,
        }
        own = trace.device.device_id
        if trace.rivals:
            facts |= {"requested_by": own, "rivals": list(trace.rivals)}
        concerned = (own, *trace.rivals) if error.finding == "key_reuse" else (own,)
        return tuple(chronicle.event(name, each, **facts) for each in concerned)


_FAILED = frozenset({FailureReason.CA_UNAVAILABLE, FailureReason.INTERNAL})
_DENIALS = {
    "code_reused": EventName.CODE_REUSED,
    "certificate_superseded": EventName.ENROLLMENT_CLONE_SUSPECTED,
    "key_reuse": EventName.ENROLLMENT_CLONE_SUSPECTED,
    "clone_suspected": EventName.ENROLLMENT_CLONE_SUSPECTED,
}
