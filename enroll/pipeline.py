"""The stages in their order, for each kind of request that there is."""

from dataclasses import replace
from functools import partial
from hashlib import sha256

from enroll.account import attempt, judged, stage_account
from enroll.certificates import CertificateRecord
from enroll.decisions import Decisions
from enroll.events import Outcome
from enroll.failures import (
    ConcurrentChange,
    EnrollmentError,
)
from enroll.inquiries import Inquiries
from enroll.key_generation import GeneratedKey, KeyWish
from enroll.orders import Order
from enroll.policy.key_generation import is_as_wished
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
from enroll.relays import Relays
from enroll.request import (
    CertificateQuery,
    Confirmation,
    EnrollmentRequest,
    FaultyRequest,
    PollRequest,
    RequestOrigin,
    RevocationRequest,
    accepted_credentials,
)
from enroll.result import (
    EnrollmentResult,
    Issued,
    Judged,
    Pending,
    Rejected,
    RevocationResult,
)
from enroll.ruling import DecisionMaker
from enroll.stages.address import address
from enroll.stages.authenticate import Authenticate
from enroll.stages.authorize import Authorize
from enroll.stages.comply import comply
from enroll.stages.confirm import Confirm
from enroll.stages.consult import consult
from enroll.stages.hold import Hold
from enroll.stages.identify import identify
from enroll.stages.issue import Issue
from enroll.stages.key_generation import PermitKey
from enroll.stages.own_certificate import CheckOwn
from enroll.stages.plan import Plan
from enroll.stages.poll import Poll, fulfilling
from enroll.stages.recognize import Recognize
from enroll.stages.record import Record, follow
from enroll.stages.requester import FindRequester
from enroll.stages.retrieve import retrieve
from enroll.stages.revoke import Revoke
from enroll.stages.third_party import ThirdParty
from enroll.steps import Authorized, Held, Repeated
from enroll.trace import DecisionTrace
from enroll.trials import SecretTrier

_Made = tuple[EnrollmentRequest, GeneratedKey | None]


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
        decision_maker: DecisionMaker,
        secret_trier: SecretTrier,
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._clock = clock
        self._decisions = Decisions(registry, clock, decision_maker, secret_trier)
        third_party = ThirdParty(clock)
        self._authenticate = Authenticate(vault, authority, clock, third_party)
        self.relays = Relays(
            registry, CheckOwn(authority, clock), third_party, self._decisions.reject
        )
        self.inquiries = Inquiries(registry, self._authenticate, secret_trier)
        self._authorize = Authorize(clock)
        self._permit_key = PermitKey(vault, clock)
        self._key_generator = key_generator
        self._plan = Plan(authority, clock, randomness)
        self._issue = Issue(authority)
        self._record = Record(clock)
        self._recognize = Recognize(vault, clock)
        self._confirm = Confirm(self._recognize, clock)
        self._poll = Poll(self._recognize, clock)
        self._revoke = Revoke(FindRequester(vault, authority, clock, third_party), clock)
        self._hold = Hold(clock, randomness)

    async def handle(self, request: EnrollmentRequest) -> EnrollmentResult:
        """Decide a request. When this returns, the decision is durable."""
        wanted, generated = request, None

        async def decide(uow: UnitOfWork, trace: DecisionTrace) -> EnrollmentResult:
            nonlocal wanted, generated
            trace.request = wanted
            if wanted.key_wish is not None and generated is None:
                wanted, generated = await self._with_key(wanted, wanted.key_wish, trace)
                trace.checks.clear()
            return await self._decide(wanted, uow, trace, generated=generated)

        return await self._decisions.persist(request.origin, decide)

    async def poll(self, poll: PollRequest) -> EnrollmentResult:
        """Tell what became of an order, and fulfill it if it was approved."""
        made: list[_Made] = []

        async def decide(uow: UnitOfWork, trace: DecisionTrace) -> EnrollmentResult:
            return await self._answer(poll, made, uow, trace)

        return await self._decisions.persist(poll.origin, decide)

    async def retrieve(self, query: CertificateQuery) -> EnrollmentResult:
        """Give a certificate again to whom it belongs."""

        async def decide(uow: UnitOfWork, trace: DecisionTrace) -> EnrollmentResult:
            record = await retrieve(query, uow, trace, self._clock.now())
            return await self._again(record, uow, trace)

        return await self._decisions.persist(query.origin, decide)

    async def confirm(self, word: Confirmation) -> EnrollmentResult:
        """Take a sender's word on the certificate that it got: what it accepted, or did not."""

        async def decide(uow: UnitOfWork, trace: DecisionTrace) -> EnrollmentResult:
            taken = await self._confirm(word, uow, trace)
            self._account(uow, trace, Outcome.CONFIRMED, taken.record.serial_number)
            await uow.commit()
            return Issued(
                record=taken.record, chain=(), repeated=True, said_before=taken.said_before
            )

        return await self._decisions.persist(word.origin, decide)

    async def find_fault(self, faulty: FaultyRequest) -> EnrollmentResult:
        """Refuse a message for its fault where its sender is known, else for that alone."""
        return await self._decisions.persist(
            faulty.origin, partial(self._recognize.find_fault, faulty)
        )

    async def revoke(self, request: RevocationRequest) -> RevocationResult:
        """Revoke, hold or release what is asked for, as far as its sender may."""

        async def decide(uow: UnitOfWork, trace: DecisionTrace) -> Judged:
            rulings = await self._revoke(request, uow, trace)
            stage_account(rulings, uow, trace, self._clock.now())
            await uow.commit()
            return judged(rulings, trace)

        return await self._decisions.persist(request.origin, decide)

    async def refuse(self, origin: RequestOrigin, error: EnrollmentError) -> Rejected:
        """Record and reject a message that could not be read as an EnrollmentRequest."""
        return await self._decisions.reject(error, DecisionTrace(origin=origin))

    async def _with_key(
        self,
        request: EnrollmentRequest,
        wish: KeyWish,
        trace: DecisionTrace,
        order: Order | None = None,
    ) -> _Made:
        """Make a key for a request that may have one, and put it where a key of its own would be.

        What permitted it is decided anew with the key, in the unit of work that issues: that takes
        the time of a signature, and a key may take longer than anybody should be kept waiting.
        For a request that has to wait for a person none is made.
        """
        async with self._registry.unit_of_work() as uow:
            decision = await self._permit(request, uow, trace, order)
            if isinstance(decision, Held):
                await self._permit_key.check(decision, wish, uow, trace)
                return request, None
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
        made = GeneratedKey(
            private_key=private_key,
            recipient=permitted.recipient,
            as_wished=is_as_wished(wish.spki, decision.key_algorithm),
        )
        return replace(request, certificate_request=wanted), made

    async def _permit(
        self,
        request: EnrollmentRequest,
        uow: UnitOfWork,
        trace: DecisionTrace,
        order: Order | None = None,
    ) -> Authorized | Held | Repeated:
        addressed = await address(request, uow, trace)
        trace.profile = addressed.profile
        trace.accepted = accepted_credentials(addressed.profile, addressed.request.operation)
        if order is None:
            authenticated = await self._authenticate(addressed, uow, trace)
        else:
            authenticated = await self._authenticate.by_order(addressed, order, uow, trace)
        trace.proven = True
        identified = await identify(authenticated, uow, trace)
        if order is None:
            comply(identified, trace)
        decision = await self._authorize(identified, uow, trace)
        return decision if isinstance(decision, Repeated) else consult(decision, trace)

    async def _decide(
        self,
        request: EnrollmentRequest,
        uow: UnitOfWork,
        trace: DecisionTrace,
        *,
        generated: GeneratedKey | None = None,
        order: Order | None = None,
    ) -> Issued | Pending:
        decision = await self._permit(request, uow, trace, order)
        if isinstance(decision, Repeated):
            follow(decision, request, uow)
            return await self._again(decision.record, uow, trace)
        if isinstance(decision, Held):
            pending = self._hold(decision, uow, trace)
            self._account(uow, trace, Outcome.PENDING)
            await uow.commit()
            return pending
        if request.key_wish is not None and generated is None:
            raise ConcurrentChange  # It was approved after it was seen that no key is needed yet.
        planned = await self._plan(decision, uow, trace)
        signed = await self._issue(planned)
        record = self._record(signed, uow, trace)
        self._account(uow, trace, Outcome.ISSUED, record.serial_number)
        await uow.commit()
        self._plan.issued(record.issued_at)
        return Issued(
            record=record,
            chain=signed.issued.chain,
            generated=generated,
            wanted=request.certificate_request,
        )

    async def _answer(
        self, poll: PollRequest, made: list[_Made], uow: UnitOfWork, trace: DecisionTrace
    ) -> Issued | Pending:
        """Find the order that is asked about, and answer or fulfill it as it stands.

        `made` keeps what was made for it, until it is decided.
        """
        order, record = await self._poll(poll, uow, trace)
        if order is None:
            assert record is not None  # noqa: S101 - one of both is found
            return await self._again(record, uow, trace)
        trace.request = request = fulfilling(order, poll)
        if record is not None:
            return await self._again(record, uow, trace)
        generated = None
        if request.key_wish is not None:
            checks = [*trace.checks]
            if not made:
                made.append(await self._with_key(request, request.key_wish, trace, order))
            request, generated = made[0]
            trace.checks[:] = checks
            if generated is None:
                made.clear()
        return await self._decide(request, uow, trace, generated=generated, order=order)

    async def _again(
        self, record: CertificateRecord, uow: UnitOfWork, trace: DecisionTrace
    ) -> Issued:
        """Give a certificate that was issued before."""
        self._account(uow, trace, Outcome.REPEATED, record.serial_number)
        await uow.commit()
        return Issued(
            record=record,
            chain=self._authority.chain(record.issuer),
            repeated=True,
            wanted=trace.request.certificate_request if trace.request is not None else None,
        )

    def _account(
        self,
        uow: UnitOfWork,
        trace: DecisionTrace,
        outcome: Outcome,
        serial_number: str | None = None,
    ) -> None:
        uow.attempts.add(attempt(trace, outcome, self._clock.now(), serial_number))
