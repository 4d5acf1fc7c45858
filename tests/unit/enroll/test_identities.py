import pytest

from enroll.device import IdentityKind
from enroll.policy.identities import IdentityFormatError, to_identity


@pytest.mark.parametrize(
    ("kind", "written", "kept"),
    [
        (IdentityKind.SERIAL_NUMBER, "  SN-00817 ", "SN-00817"),
        (IdentityKind.COMMON_NAME, "Caf\u0065\u0301", "Café"),
        (IdentityKind.SAN_DNS, "Pump-1.Example.", "pump-1.example"),
        (IdentityKind.SAN_URI, "URN:dev:mac:0024befffe804ff1", "urn:dev:mac:0024befffe804ff1"),
        (IdentityKind.MAC, "00:24:BE:80:4F:F1", "0024be804ff1"),
        (IdentityKind.SPKI_SHA256, "AB" * 32, "ab" * 32),
        (IdentityKind.EK_URI, "urn:ek:sha256:" + "A" * 43 + "=", "urn:ek:sha256:" + "A" * 43 + "="),
    ],
)
def test_an_identity_is_kept_in_its_normal_form(
    kind: IdentityKind, written: str, kept: str
) -> None:
    assert to_identity(kind, written).value == kept


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (IdentityKind.SERIAL_NUMBER, "To be filled by O.E.M."),
        (IdentityKind.SERIAL_NUMBER, "Default string"),
        (IdentityKind.SERIAL_NUMBER, "None"),
        (IdentityKind.SERIAL_NUMBER, "0"),
        (IdentityKind.SERIAL_NUMBER, "XXXXXXXX"),
        (IdentityKind.SERIAL_NUMBER, ""),
        (IdentityKind.SERIAL_NUMBER, "a\x00b"),
        (IdentityKind.SERIAL_NUMBER, "9" * 256),
        (IdentityKind.SAN_DNS, "no spaces.example"),
        (IdentityKind.SAN_URI, "no-scheme"),
        (IdentityKind.MAC, "00:24:be"),
        (IdentityKind.SPKI_SHA256, "abc"),
        (IdentityKind.EK_URI, "urn:ek:sha256:short"),
    ],
)
def test_what_cannot_identify_is_refused(kind: IdentityKind, written: str) -> None:
    with pytest.raises(IdentityFormatError):
        to_identity(kind, written)
