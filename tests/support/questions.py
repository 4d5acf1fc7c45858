"""A question as it is put to a decision webhook."""

from enroll.credentials import CredentialKind
from enroll.profiles import KeyAlgorithm, ProtocolName
from enroll.request import Operation
from enroll.ruling import Question

QUESTION = Question(
    webhook="inventory",
    correlation_id="00c0ffee00c0ffee",
    protocol=ProtocolName.SCEP,
    operation=Operation.INITIAL,
    profile="bootstrap",
    device_id="0198",
    device_name="pump-1",
    device_serial_number=None,
    group="default",
    attributes={"site": "Malmö"},
    subject="CN=pump-1",
    names=("dns:pump-1.example",),
    spki_sha256="ab" * 32,
    key_algorithm=KeyAlgorithm.P_256,
    credential=CredentialKind.ONE_TIME_CODE,
    registration_authority=None,
    peer_address="192.0.2.7",
)
