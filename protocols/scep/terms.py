"""On what terms one message is dealt with: its profile's, and by whom."""

from dataclasses import dataclass

from enroll.options import SCEPOptions
from protocols.limits import DERLimits
from protocols.scep.encode import Reply
from protocols.scep.messages import RegistrationAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What its profile allows a message, who may open it, and how it is answered."""

    options: SCEPOptions
    authorities: tuple[RegistrationAuthority, ...]
    reply: Reply
    limits: DERLimits
