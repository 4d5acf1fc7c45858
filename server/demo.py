"""The demo device of `enroll run`, and the lines that take it through its life."""

from enroll.device import Device, DeviceState
from enroll.registration import CodeTerms, MadeCode, NewDevice
from server.config.load import Config
from server.home import Home
from server.listening import Listening
from server.wiring import Office, open_office

NAME = "demo-1"
ACTOR = "cli:run"


async def prepare_demo(home: Home, config: Config, listening: Listening) -> str:
    """Register the demo device if it is new, make a code for it, and write what to paste."""
    office = open_office(home, config, stream="cli")
    try:
        device, made = await _demo_device(office)
    finally:
        await office.close()
    return _text(home, listening, device, made)


async def _demo_device(office: Office) -> tuple[Device, MadeCode]:
    policy = await office.policy()
    async with office.registry.unit_of_work() as uow:
        tenant = policy.tenant_named("default")
        found = await uow.devices.by_reference(tenant.tenant_id, NAME) if tenant else None
    if found is None:
        device, made = await office.registration.register(
            NewDevice(name=NAME), code=CodeTerms(), actor=ACTOR
        )
        if made is None:
            raise AssertionError("terms were given, so a code was made")
        return device, made
    if found.state in {DeviceState.REGISTERED, DeviceState.PROVISIONED}:
        return await office.lifecycle.reset(found.device_id, "the demo begins again", actor=ACTOR)
    return await office.registration.make_code(found.device_id, CodeTerms(), actor=ACTOR)


def _text(home: Home, listening: Listening, device: Device, made: MadeCode) -> str:
    port = listening.https.rpartition(":")[2]
    est = f"https://localhost:{port}/.well-known/est"
    options = f"--cacert {home.root_certificate} -H 'Content-Type: application/pkcs10'"
    take = "| openssl base64 -d | openssl pkcs7 -inform DER -print_certs"
    key = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    csr = "-outform DER | openssl base64"
    enroll = f"enroll --home {home.path}"
    return f"""
EST         {est}
HTTP        http://{listening.http}   (CRL, CA certificates)
Management  https://{listening.management}   (/livez /readyz /metrics)
Root        {home.root_certificate}

Device {device.name} is {device.state}. Paste into another terminal, in an empty folder:

# 1. a bootstrap certificate, with its one-time code: Enrolled -> Registered
{key} -keyout boot.key -subj /CN={device.name} {csr} > boot.b64
curl -sS {options} -u {device.name}:{made.clear} --data-binary @boot.b64 \\
    {est}/simpleenroll {take} -out boot.pem
openssl x509 -in boot.pem -noout -subject -issuer -dates

# 2. an operational certificate, with the bootstrap certificate: Registered -> Provisioned
{key} -keyout op.key -subj /CN={device.name} {csr} > op.b64
curl -sS {options} --cert boot.pem --key boot.key --data-binary @op.b64 \\
    {est}/operational/simpleenroll {take} -out op.pem
openssl x509 -in op.pem -noout -subject -issuer -dates

# 3. its renewal, with a new key and the same subject
{key} -keyout op2.key -subj /CN={device.name} {csr} > op2.b64
curl -sS {options} --cert op.pem --key op.key --data-binary @op2.b64 \\
    {est}/simplereenroll {take} -out op2.pem
openssl x509 -in op2.pem -noout -subject -issuer -dates

# What the server knows now
{enroll} device show {device.name} -o json

Ctrl-C ends the server.
"""
