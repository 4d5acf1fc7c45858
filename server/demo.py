"""The demo device of `enroll run`, and the lines that take it through its life."""

import shlex
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from ca.succession import AuthorityKind
from enroll.device import Device, DeviceState
from enroll.registration import CodeTerms, MadeCode, NewDevice
from server.authorities import read_certificate, read_succession
from server.config.load import Config
from server.home import Home
from server.listening import Listening
from server.wiring import Office, open_office

NAME = "demo-1"
SCEP_NAME = "demo-scep"
CMP_NAME = "demo-cmp"
ACTOR = "cli:run"


async def prepare_demo(home: Home, config: Config, listening: Listening, enroll: str) -> str:
    """Register the demo device if it is new, make a code for it, and write what to paste.

    `enroll` is how a shell calls the command on this home.
    """
    office = open_office(home, config, stream="cli")
    try:
        device, made = await _demo_device(office, NAME)
        scep = await _demo_device(office, SCEP_NAME)
        cmp = await _demo_device(office, CMP_NAME)
    finally:
        await office.close()
    return (
        _addresses(home, listening)
        + _lines(home, listening, device, made, enroll)
        + _scep_lines(listening, *scep)
        + _cmp_lines(home, listening, *cmp)
        + "Ctrl-C ends the server.\n\n"
    )


async def _demo_device(office: Office, name: str) -> tuple[Device, MadeCode]:
    policy = await office.policy()
    async with office.registry.unit_of_work() as uow:
        tenant = policy.tenant_named("default")
        found = await uow.devices.by_reference(tenant.tenant_id, name) if tenant else None
    if found is None:
        device, made = await office.registration.register(
            NewDevice(name=name), code=CodeTerms(), actor=ACTOR
        )
        if made is None:
            raise AssertionError("terms were given, so a code was made")
        return device, made
    if found.state in {DeviceState.REGISTERED, DeviceState.PROVISIONED}:
        return await office.lifecycle.reset(found.device_id, "the demo begins again", actor=ACTOR)
    return await office.registration.make_code(found.device_id, CodeTerms(), actor=ACTOR)


def _addresses(home: Home, listening: Listening) -> str:
    path = _root(home)
    root = read_certificate(path)
    return f"""
EST          https://{reachable(listening.https)}/.well-known/est
SCEP         http://{reachable(listening.http)}/scep
CMP          http://{reachable(listening.http)}/.well-known/cmp
HTTP         http://{reachable(listening.http)}   (/crl/issuing.crl /ca/issuing.crt /roots.pem)
Management   https://{reachable(listening.management)}   (/livez /readyz /version /metrics)
Root         {path}
Fingerprint  {root.fingerprint(hashes.SHA256()).hex()}   (SHA-256 of the root)
"""


def _lines(home: Home, listening: Listening, device: Device, made: MadeCode, enroll: str) -> str:
    est = f"https://{reachable(listening.https)}/.well-known/est"
    curl = f"curl -fsS --cacert {shlex.quote(str(_root(home)))}"
    post = "-H 'Content-Type: application/pkcs10' --data-binary"
    take = "| openssl base64 -d | openssl pkcs7 -inform DER -print_certs"
    key = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    csr = "-outform DER | openssl base64"
    look = "openssl x509 -noout -subject -issuer -dates"
    return f"""
Device {device.name} is {device.state}. Paste into another terminal, in an empty folder:

# 1. a bootstrap certificate, with its one-time code: Enrolled to Registered
{key} -keyout boot.key -subj /CN={device.name} {csr} > boot.b64
{curl} -u {device.name}:{made.clear} {post} @boot.b64 \\
    {est}/simpleenroll {take} -out boot.pem
{look} -in boot.pem

# 2. an operational certificate, with the bootstrap certificate: Registered to Provisioned
{key} -keyout op.key -subj /CN={device.name} {csr} > op.b64
{curl} --cert boot.pem --key boot.key {post} @op.b64 \\
    {est}/operational/simpleenroll {take} -out op.pem
{look} -in op.pem

# 3. its renewal, with a new key and the same subject
{key} -keyout op2.key -subj /CN={device.name} {csr} > op2.b64
{curl} --cert op.pem --key op.key {post} @op2.b64 \\
    {est}/simplereenroll {take} -out op2.pem
{look} -in op2.pem

# What the server knows now, and what it was asked
{enroll} device show {device.name} -o json
{enroll} attempts
"""


def _scep_lines(listening: Listening, device: Device, made: MadeCode) -> str:
    url = f"http://{reachable(listening.http)}/scep"
    return f"""
# Over SCEP, as {device.name}, with strongSwan's pki (Debian package strongswan-pki)
pki --gen --type rsa --size 2048 --outform pem > scep.key
pki --scepca --url {url} --caout ca.pem --raout ra.pem --outform pem --force
pki --scep --url {url} --in scep.key --dn CN={device.name} \\
    --password {made.clear} --cacert-enc ra.pem --cacert-sig ra.pem \\
    --cacert ca.pem --cacert ca-1.pem --outform pem > scep.pem
openssl x509 -noout -subject -issuer -dates -in scep.pem
"""


def _cmp_lines(home: Home, listening: Listening, device: Device, made: MadeCode) -> str:
    return f"""
# Over CMP, as {device.name}
cp {shlex.quote(str(_root(home)))} roots.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out cmp.key
openssl cmp -cmd ir -server {reachable(listening.http)}/.well-known/cmp \\
    -ref {device.name} -secret pass:{made.clear} -newkey cmp.key -subject /CN={device.name} \\
    -certout cmp.pem -cacertsout ca.pem -trusted roots.pem
openssl x509 -noout -subject -issuer -dates -in cmp.pem

"""


def _root(home: Home) -> Path:
    """Name the file of the root above the CA that issues now."""
    return home.ca_certificate(read_succession(home).active(AuthorityKind.ROOT).name)


def reachable(address: str) -> str:
    """Write an address as this host reaches it: one that stands for all interfaces is its own."""
    host, _, port = address.rpartition(":")
    return f"localhost:{port}" if host in {"0.0.0.0", "[::]", "127.0.0.1"} else address  # noqa: S104 - compared, not bound
