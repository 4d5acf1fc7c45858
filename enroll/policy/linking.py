"""Linking identity and proof of possession by a channel binding (RFC 7030 §3.5, RFC 9266)."""

import hmac
from base64 import b64encode

from enroll.channel import Channel, ChannelBinding
from enroll.failures import EnrollmentError, FailureReason
from enroll.options import ESTOptions, LinkingRule

WHITE_SPACE = str.maketrans("", "", " \t\r\n")


def check_linking(
    challenge_password: str | None, channel: Channel | None, options: ESTOptions
) -> str | None:
    """Check that a request was signed for the very connection that it came over.

    Gives the name of the channel binding that proved it, or None where nothing had to be proven;
    only what has to be compared is asked of the connection.

    Raises EnrollmentError (BAD_PROOF_OF_POSSESSION), which says what was tried.
    """
    if options.linking is LinkingRule.OFF:
        return None
    if challenge_password is None:
        if options.linking is LinkingRule.ACCEPTED:
            return None
        raise _refused(
            "the request holds no channel binding, and this profile requires one",
            "linking_required",
        )
    binding = channel.binding() if channel is not None else None
    if binding is None:
        raise _refused(
            "the request holds a channel binding, and there is no TLS connection to the client "
            "itself to compare it with; where a proxy ends TLS, set est.linking=off",
            "linking_unavailable",
        )
    if not (binding.extended_master_secret or options.linking_without_ems):
        raise _refused(
            f"{binding.kind} does not bind a connection without the extended master secret; for "
            "old clients, set est.linking_without_ems=true",
            "linking_unavailable",
        )
    _check_equal(challenge_password, binding)
    return binding.kind


def _check_equal(challenge_password: str, binding: ChannelBinding) -> None:
    """Compare in the form in which bindings travel: base64 (RFC 4648 §4)."""
    given = challenge_password.translate(WHITE_SPACE).encode()
    wanted = b64encode(binding.value)
    if not hmac.compare_digest(given, wanted):
        raise _refused(
            f"the challengePassword, of {len(given)} characters, is not the {binding.kind} of "
            f"this connection, which has {len(wanted)}",
            "linking_failed",
        )


def _refused(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.BAD_PROOF_OF_POSSESSION, detail, finding=finding, field="challengePassword"
    )
