"""Any octets as a genm, or as the value of a question in one, are answered or refused."""

from contextlib import suppress
from functools import cache

from enroll.failures import EnrollmentError
from enroll.requirements import RequestRequirements
from enroll.result import Described
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode
from protocols.cmp.encode import encode_message
from protocols.cmp.messages import (
    CA_CERTS,
    CRL_STATUS_LIST,
    KEY_PAIR_PARAM_REQ,
    ROOT_CA_CERT,
    SUPP_LANG_TAGS,
    BodyType,
    GenMsgContent,
)
from protocols.cmp.support import Telling, answer_to
from tests.support.builders import a_certificate_profile, an_enrollment_profile
from tests.support.cmp import FixedServices, a_header
from tests.support.csr import sequence, tlv

_QUESTIONS = (KEY_PAIR_PARAM_REQ, SUPP_LANG_TAGS, CA_CERTS, ROOT_CA_CERT, CRL_STATUS_LIST)


def fuzz_cmp_support(data: bytes) -> None:
    """Take the octets as a body, and as each value that is read."""
    ask(data)
    for each in _QUESTIONS:
        ask(sequence(sequence(each, data)))


def ask(content: bytes) -> None:
    """Answer a genm, or say why it is refused."""
    message = encode_message(a_header(), tlv(BodyType.GENM.tag, content), None)
    with suppress(EnrollmentError):
        body = decode_body(decode(message))
        assert isinstance(body, GenMsgContent)
        answer_to(body.infos, _telling())


@cache
def _telling() -> Telling:
    described = Described(
        profile=an_enrollment_profile(),
        certificate_profile=a_certificate_profile(),
        requirements=RequestRequirements(),
    )
    return Telling(described=described, services=FixedServices())
