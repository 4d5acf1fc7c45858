"""What an enrollment profile may say of one protocol alone: the keys `est.…` and `scep.…`."""

from dataclasses import dataclass
from enum import StrEnum


class ChallengePasswordRule(StrEnum):
    """What EST takes a request's challengePassword for; one rule an endpoint, never a guess.

    BINDING: the channel binding of RFC 7030 §3.5. CODE: a one-time code, as SCEP has it.
    """

    BINDING = "binding"
    CODE = "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTOptions:
    """An enrollment profile under EST."""

    challenge_password: ChallengePasswordRule = ChallengePasswordRule.BINDING


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPOptions:
    """An enrollment profile under SCEP. `legacy` takes SHA-1, 3DES and single DES requests."""

    legacy: bool = False
