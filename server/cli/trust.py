"""enroll trust: add, list, show, set, remove, revoke, unpin."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from enroll.device import new_id
from enroll.failures import NotFound
from enroll.policy.known_authorities import KINDS
from enroll.policy.trust_anchors import LONGEST_NAME, is_shared, split_chain
from enroll.profiles import PolicySnapshot
from enroll.stages.address import DEFAULT_TENANT
from enroll.trust import TrustAnchor, TrustPurpose
from server.authorities import read_authorities
from server.cli.certificates import REASON_NAMES, parse_reason
from server.cli.devices import certificate_data
from server.cli.office import Office, actor, current_home, find_device, work
from server.cli.output import Data, Format, Output, Yes, confirm, say, show, show_all, when
from server.cli.values import parse_pairs, to_data, with_settings
from server.clock import SystemClock, SystemRandomness

app = typer.Typer(no_args_is_help=True, help="CAs of others, and what their word is taken for.")

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="PEM or DER; in PEM the CAs below it may come along."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The trust anchor's name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]


@app.command()
def add(
    context: typer.Context,
    file: File,
    purpose: Annotated[
        TrustPurpose,
        typer.Option(
            help="idevid: a maker's; auth-ca: another CA's that vouches for devices; ra: one whose "
            "certificates with id-kp-cmcRA enroll devices of others."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Else made of its common name.")] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=GLOB",
            help="What a certificate must hold, such as serialNumber=SN-*; repeatable.",
        ),
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Only for this profile; repeatable.")
    ] = None,
    manufacturer: Annotated[
        str | None, typer.Option(help="Only for devices with this attribute manufacturer.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="For purpose ra: only for devices of this group; repeatable."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="OID", help="A certificate policy that is demanded; repeatable."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Trust a CA: devices with its certificates enroll by TLS, without a code."""
    top, between = split_chain(_read(file))
    anchor = TrustAnchor(
        anchor_id=new_id(SystemClock().now(), SystemRandomness().octets(10)),
        tenant_id="",
        name=name or _name_of(top),
        purpose=purpose,
        der=_der(top),
        intermediates=tuple(map(_der, between)),
        patterns=tuple(_pattern(each) for each in pattern or ()),
        profiles=tuple(profile or ()),
        groups=tuple(group or ()),
        manufacturer=manufacturer,
        policies=tuple(policy or ()),
    )

    async def run(office: Office) -> Data:
        snapshot = await office.policy()
        wanted = replace(anchor, tenant_id=tenant_of(snapshot))
        added = await office.trust.add(wanted, own=_own(context), actor=actor())
        return _data(added, snapshot)

    data = work(context, run)
    show(data, output)
    _tell(anchor, data)


@app.command("list")
def list_(context: typer.Context, output: Output = Format.TEXT) -> None:
    """List trust anchors."""

    async def run(office: Office) -> Sequence[Data]:
        policy = await office.policy()
        return [_data(each, policy) for each in policy.trust_anchors.values()]

    show_all(work(context, run), ("name", "purpose", "subject", "not_after", "blocked"), output)


@app.command("show")
def show_(context: typer.Context, name: Name, output: Output = Format.TEXT) -> None:
    """Show one trust anchor, with its PEM."""

    async def run(office: Office) -> Data:
        policy = await office.policy()
        anchor = _anchor(policy, name)
        pem = anchor.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        return {**_data(anchor, policy), "pem": pem}

    show(work(context, run), output)


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys to set, such as blocked=true. See 'show'."),
    ] = None,
    intermediates: Annotated[
        Path | None,
        typer.Option("--intermediates", metavar="FILE", help="The CAs below it, PEM or DER."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Change the conditions of a trust anchor; a running server follows within a second."""
    if not changes and intermediates is None:
        raise typer.BadParameter("give at least one KEY=VALUE, or --intermediates")
    wanted = parse_pairs(changes or (), "set")
    between = tuple(map(_der, _read(intermediates))) if intermediates is not None else None

    async def run(office: Office) -> Data:
        policy = await office.policy()
        anchor = with_settings(_anchor(policy, name), wanted)
        if between is not None:
            anchor = replace(anchor, intermediates=between)
        changed = await office.trust.change(anchor, own=_own(context), actor=actor())
        return _data(changed, policy)

    show(work(context, run), output)


@app.command()
def remove(
    context: typer.Context, name: Name, yes: Yes = False, output: Output = Format.TEXT
) -> None:
    """Trust a CA no more; what was issued on its word stays good."""
    confirm(f"Devices with certificates under {name} cannot enroll by them then. Go on?", yes=yes)

    async def run(office: Office) -> Data:
        policy = await office.policy()
        removed = await office.trust.remove(_anchor(policy, name), actor=actor())
        return _data(removed, policy)

    show(work(context, run), output)


@app.command()
def revoke(
    context: typer.Context,
    file: File,
    reason: Annotated[
        str, typer.Option(metavar="REASON", help=f"One of {REASON_NAMES} (RFC 5280 §5.3.1).")
    ],
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Refuse one certificate under a trust anchor for good; the first in FILE.

    For one that was shown here already, 'enroll certificate revoke SERIAL' does the same.
    """
    why = parse_reason(reason)
    chain = _read(file)
    confirm(f"This refuses {chain[0].subject.rfc4514_string()} for good. Go on?", yes=yes)

    async def run(office: Office) -> Data:
        record = await office.trust.revoke(
            tenant_of(await office.policy()), chain, why, actor=actor()
        )
        return {**certificate_data(record), "reason": why.value}

    show(work(context, run), output)


@app.command()
def unpin(
    context: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Its name, id or serial number.")],
    reason: Reason,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Untie a device from the factory certificate it has shown, which is refused from then on.

    The next one under its identity is tied to it instead: for a board that its maker replaced.
    """
    confirm(f"The factory certificate of {device} is refused from then on. Go on?", yes=yes)

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        after = await office.trust.unpin(found.device_id, reason, actor=actor())
        identities = [{"kind": each.kind.value, "value": each.value} for each in after.identities]
        return {"id": after.device_id, "name": after.name, "identities": identities}

    show(work(context, run), output)


def _read(file: Path) -> list[x509.Certificate]:
    """Read certificates. Raises typer.BadParameter."""
    try:
        octets = file.read_bytes()
        if b"-----BEGIN " in octets:
            return x509.load_pem_x509_certificates(octets)
        return [x509.load_der_x509_certificate(octets)]
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: no certificate can be read: {error}") from None


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _name_of(certificate: x509.Certificate) -> str:
    """Make a name of the common name, or of the fingerprint where there is none fit."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(found[0].value) if found else ""
    name = re.sub(r"[^A-Za-z0-9 ._-]+", "-", text)[:LONGEST_NAME].strip(" ._-")
    return name or certificate.fingerprint(hashes.SHA256()).hex()[:16]


def _pattern(text: str) -> tuple[str, str]:
    field, equals, glob = text.partition("=")
    if not equals or not glob:
        raise typer.BadParameter(f"--pattern: expected FIELD=GLOB, got {text!r}")
    return (field.strip(), glob)


def tenant_of(policy: PolicySnapshot) -> str:
    """Give the tenant that the command is about. Raises NotFound."""
    tenant = policy.tenant_named(DEFAULT_TENANT)
    if tenant is None:
        raise NotFound(f"there is no tenant {DEFAULT_TENANT!r}")
    return tenant.tenant_id


def _anchor(policy: PolicySnapshot, name: str) -> TrustAnchor:
    for anchor in policy.trust_anchors.values():
        if name in {anchor.name, anchor.anchor_id}:
            return anchor
    raise NotFound(f"there is no trust anchor {name!r}; see 'enroll trust list'")


def _own(context: typer.Context) -> tuple[x509.Certificate, ...]:
    members = read_authorities(current_home(context)).members
    return tuple(each.certificate for each in members.values())


def _data(anchor: TrustAnchor, policy: PolicySnapshot) -> Data:
    certificate = anchor.certificate
    return {
        "id": anchor.anchor_id,
        "name": anchor.name,
        "purpose": anchor.purpose.value,
        "subject": certificate.subject.rfc4514_string(),
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_before": when(certificate.not_valid_before_utc),
        "not_after": when(certificate.not_valid_after_utc),
        **to_data(anchor),
        "shared": is_shared(anchor),
        "accepted_by": _accepted_by(anchor, policy),
        "intermediates": [
            {
                "subject": each.subject.rfc4514_string(),
                "fingerprint": each.fingerprint(hashes.SHA256()).hex(),
                "not_after": when(each.not_valid_after_utc),
            }
            for each in anchor.intermediate_certificates
        ],
    }


def _accepted_by(anchor: TrustAnchor, policy: PolicySnapshot) -> list[str]:
    """Name the profiles that take a certificate under this anchor."""
    kind = KINDS.get(anchor.purpose)
    return [
        slug
        for slug, profile in policy.enrollment_profiles.items()
        if kind in profile.initial_credentials
        and profile.tenant_id == anchor.tenant_id
        and (not anchor.profiles or slug in anchor.profiles)
    ]


def _tell(anchor: TrustAnchor, data: Data) -> None:
    """Tell what to do next, or what follows that one may not expect."""
    if anchor.purpose not in KINDS:
        say(f"Kept. Nothing here asks for anchors of purpose {anchor.purpose} yet.")
    elif not data["accepted_by"]:
        kind = KINDS[anchor.purpose]
        say(f"No profile takes it: enroll profile set NAME initial_credentials=…,{kind}")
    elif is_shared(anchor):
        say(
            "Without a pattern such as CN=pump-* its certificates count as shared among devices: "
            "they enroll a device that has no certificate yet, and no other."
        )
