"""What was looked at on the way to a decision, for the operator who asks why."""

from dataclasses import dataclass, field

from enroll.credentials import CredentialKind
from enroll.device import Device
from enroll.events import Check
from enroll.profiles import EnrollmentProfile
from enroll.request import EnrollmentRequest, RequestOrigin
from enroll.ruling import Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Who would join which group of themselves: the name as it was said."""

    name: str
    group: str


@dataclass(slots=True, kw_only=True)
class DecisionTrace:
    """The checks of one attempt in their order, and what became known on the way.

    `device` may be set before the caller is `proven` to be it; `profile` is the endpoint's,
    `accepted` the kinds of credential that it takes; `rivals` are the other devices that a refusal
    concerns. `registration_authority` is the name of who asked for the device.
    `joining` is there as soon as a device that nobody registered might be let in.
    `answered` is brought along: what was answered outside before this unit of work began.
    """

    origin: RequestOrigin
    request: EnrollmentRequest | None = None
    device: Device | None = None
    proven: bool = False
    registration_authority: str | None = None
    joining: Joining | None = None
    rivals: tuple[str, ...] = ()
    accepted: frozenset[CredentialKind] = frozenset()
    profile: EnrollmentProfile | None = None
    answered: Answered | None = None
    checks: list[Check] = field(default_factory=list)

    def passed(self, name: str, note: str = "") -> None:
        self.checks.append(Check(name=name, passed=True, note=note))

    def failed(self, name: str, note: str) -> None:
        self.checks.append(Check(name=name, passed=False, note=note))
