"""Somebody outside has a say in what is issued: what is asked, what is answered, and by which port.

The port is `DecisionMaker`; which profiles ask, and whom, is `EnrollmentProfile.decision_webhook`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from enroll.credentials import CredentialKind
from enroll.profiles import KeyAlgorithm, ProtocolName
from enroll.request import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whether this device may have a certificate: all that is told, and nothing of it secret.

    Subject and names are the request's wishes. Where a key is to be made for the device there is
    no `spki_sha256` yet. `correlation_id` is the one under which the attempt is recorded.
    """

    webhook: str
    correlation_id: str
    protocol: ProtocolName
    operation: Operation
    profile: str
    device_id: str
    device_name: str
    device_serial_number: str | None
    group: str
    attributes: Mapping[str, str]
    subject: str
    names: tuple[str, ...]
    spki_sha256: str | None
    key_algorithm: KeyAlgorithm
    credential: CredentialKind
    registration_authority: str | None
    peer_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The answer. `reason` is for the operator; `attributes` are to become the device's."""

    allowed: bool
    reason: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


class DecisionMaker(Protocol):
    """Puts questions to whom they name, and believes nobody else's answers.

    Raises AuthorityUnavailable for whatever keeps a good answer away: without one nothing is
    issued.
    """

    async def rule(self, question: Question) -> Ruling: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer, kept with its question: it is good for that question and for no other."""

    question: Question
    ruling: Ruling


class Unanswered(Exception):  # noqa: N818 - what a question is
    """The unit of work cannot go on without an answer; nothing was stored.

    Ask outside of it, for that may take seconds, and run the whole unit again.
    """

    def __init__(self, question: Question) -> None:
        super().__init__(f"{question.webhook} has to be asked")
        self.question = question


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """What a ruling changed of a device: the attributes' values as they were, and as they are."""

    webhook: str
    before: Mapping[str, str]
    after: Mapping[str, str]
