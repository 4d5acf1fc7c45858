"""Why a certificate has no valid path to a trust anchor."""

from enum import StrEnum


class PathFault(StrEnum):
    """What was wrong, in the words of `enroll attempts`."""

    CHAIN_INCOMPLETE = "chain_incomplete"
    ISSUER_NOT_TRUSTED = "issuer_not_trusted"
    SIGNATURE_WRONG = "signature_wrong"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    CERTIFICATE_UNREADABLE = "certificate_unreadable"
    PATH_TOO_COMPLEX = "path_too_complex"
    ANCHOR_BLOCKED = "anchor_blocked"
    ANCHOR_NOT_FOR_THIS = "credential_not_sufficient"
    CA_EXPIRED = "ca_expired"
    CA_NOT_YET_VALID = "ca_not_yet_valid"
    CA_PURPOSE = "ca_purpose"
    PATH_TOO_LONG = "path_too_long"
    NAME_CONSTRAINTS = "name_constraints"
    CERTIFICATE_POLICIES = "certificate_policies"
    CRITICAL_EXTENSION = "critical_extension"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_PURPOSE = "certificate_purpose"


def printable(text: str) -> str:
    """Make words out of a stranger's certificate fit for records and terminals."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


class PathError(Exception):
    """There is no valid path. `detail` tells an operator which certificate is at fault, and why."""

    def __init__(self, fault: PathFault, detail: str) -> None:
        detail = printable(detail)
        super().__init__(detail)
        self.fault = fault
        self.detail = detail
