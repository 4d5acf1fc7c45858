"""Deciding in units of work, and the one place where an EnrollmentError becomes Rejected."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from enroll.account import refused_attempt, rejected
from enroll.failures import AlreadyTaken, ConcurrentChange, EnrollmentError, RegistryUnavailable
from enroll.policy.denials import denial_events
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.request import RequestOrigin
from enroll.result import Rejected
from enroll.ruling import Answered, DecisionMaker, Question, Unanswered
from enroll.stages.consult import CHECK
from enroll.trace import DecisionTrace
from enroll.trials import SecretTrier, Untried

T = TypeVar("T")
Decide = Callable[[UnitOfWork, DecisionTrace], Awaitable[T]]

TRIES = 16
"""How often a request is decided anew because what it had read was changed meanwhile."""


class Decisions:
    """Makes a decision durable, whichever it is."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        decision_maker: DecisionMaker,
        secret_trier: SecretTrier,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._decision_maker = decision_maker
        self._secret_trier = secret_trier

    async def persist(self, origin: RequestOrigin, decide: Decide[T]) -> T | Rejected:
        """Decide anew as often as what was read was changed meanwhile, within reason.

        What has to be asked outside is asked between two units of work, and not again while the
        question is the same; secrets that take long to try are tried there too.
        """
        trace, answered = DecisionTrace(origin=origin), None
        try:
            for _ in range(TRIES):
                trace = DecisionTrace(origin=origin, answered=answered)
                try:
                    async with self._registry.unit_of_work() as uow:
                        return await decide(uow, trace)
                except (ConcurrentChange, AlreadyTaken):
                    continue
                except Unanswered as unanswered:
                    answered = await self._ask(unanswered.question, trace)
                except Untried as untried:
                    await self._secret_trier.try_all(untried.answer, untried.secrets)
            raise RegistryUnavailable("too many requests for one device at once", retry_after=1)
        except EnrollmentError as error:
            return await self.reject(error, trace)

    async def _ask(self, question: Question, trace: DecisionTrace) -> Answered:
        try:
            ruling = await self._decision_maker.rule(question)
        except EnrollmentError as error:
            trace.failed(CHECK, error.detail)
            raise
        return Answered(question=question, ruling=ruling)

    async def reject(self, error: EnrollmentError, trace: DecisionTrace) -> Rejected:
        """Record the refusal before it is told; if even that fails, the answer is unavailable."""
        answer = rejected(error, trace)
        try:
            async with self._registry.unit_of_work() as uow:
                uow.attempts.add(refused_attempt(error, trace, self._clock.now()))
                for event in denial_events(error, trace, self._clock.now()):
                    uow.events.append(event)
                await uow.commit()
        except RegistryUnavailable as unavailable:
            return replace(
                answer,
                reason=unavailable.reason,
                detail=f"{error.finding}, and {unavailable.detail}",
                finding=unavailable.finding,
                field=None,
                retry_after=unavailable.retry_after,
            )
        return answer
