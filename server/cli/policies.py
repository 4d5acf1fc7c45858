"""enroll group, profile and certificate-profile: list, show, add, set."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from ca.succession import AuthorityKind, AuthorityState
from enroll.credentials import GroupSecret
from enroll.device import new_id
from enroll.failures import NotFound
from enroll.group_secrets import show_reference
from enroll.policy.profiles import PolicyError
from enroll.profiles import (
    CertificateProfile,
    DeviceGroup,
    EnrollmentProfile,
    PolicySnapshot,
)
from server.authorities import read_succession
from server.cli.office import Office, actor, work
from server.cli.output import Data, Format, Output, show, show_all, when
from server.cli.values import parse_pairs, to_data, with_settings
from server.clock import SystemClock, SystemRandomness
from server.home import Home

groups = typer.Typer(no_args_is_help=True, help="Device groups: what their members must hold.")
profiles = typer.Typer(
    no_args_is_help=True, help="Enrollment profiles: endpoints, credentials, slots."
)
certificate_profiles = typer.Typer(
    no_args_is_help=True, help="Certificate profiles: what a certificate looks like."
)

Copy = Annotated[str, typer.Option("--copy", metavar="OTHER", help="The one to start from.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key; repeatable. 'show' lists them."),
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Keys to set. Several values go with commas: a,b. See 'show'."
    ),
]


@groups.command("list")
def list_groups(context: typer.Context, output: Output = Format.TEXT) -> None:
    """List device groups."""
    rows = [_group_data(each) for each in work(context, _policy).groups.values()]
    show_all(rows, ("name", "status", "required_profiles", "on_disable"), output)


@groups.command("show")
def show_group(context: typer.Context, name: Name, output: Output = Format.TEXT) -> None:
    """Show one device group."""
    show(_group_data(group_named(work(context, _policy), name)), output)


@groups.command("add")
def add_group(
    context: typer.Context,
    name: Name,
    changes: Changes = None,
    copy: Copy = "default",
    settings: Settings = None,
    output: Output = Format.TEXT,
) -> None:
    """Add a device group like another."""
    wanted = _settings(changes, settings)

    async def run(office: Office) -> Data:
        original = group_named(await office.policy(), copy)
        identifier = new_id(SystemClock().now(), SystemRandomness().octets(10))
        group = replace(original, group_id=identifier, name=name, secrets=())
        group = with_settings(group, wanted)
        return _group_data(await office.administration.put_group(group, new=True, actor=actor()))

    show(work(context, run), output)


@groups.command("set")
def set_group(
    context: typer.Context,
    name: Name,
    changes: Changes = None,
    settings: Settings = None,
    output: Output = Format.TEXT,
) -> None:
    """Change a device group."""
    wanted = _settings(changes, settings, some=True)

    async def run(office: Office) -> Data:
        group = with_settings(group_named(await office.policy(), name), wanted)
        return _group_data(await office.administration.put_group(group, new=False, actor=actor()))

    show(work(context, run), output)


@profiles.command("list")
def list_profiles(context: typer.Context, output: Output = Format.TEXT) -> None:
    """List enrollment profiles."""
    rows = [_profile_data(each) for each in work(context, _policy).enrollment_profiles.values()]
    columns = (
        "slug",
        "certificate_class",
        "certificate_profile",
        "protocols",
        "initial_credentials",
        "renewal_credentials",
    )
    show_all(rows, columns, output)


@profiles.command("show")
def show_profile(context: typer.Context, name: Name, output: Output = Format.TEXT) -> None:
    """Show one enrollment profile."""
    show(_profile_data(_profile(work(context, _policy), name)), output)


@profiles.command("add")
def add_profile(
    context: typer.Context,
    name: Name,
    copy: Copy,
    changes: Changes = None,
    settings: Settings = None,
    output: Output = Format.TEXT,
) -> None:
    """Add an enrollment profile like another; NAME is its slug in paths."""
    wanted = _settings(changes, settings)

    async def run(office: Office) -> Data:
        profile = replace(_profile(await office.policy(), copy), slug=name)
        profile = with_settings(profile, wanted)
        _check_issuer(profile, office.home)
        stored = await office.administration.put_enrollment_profile(
            profile, new=True, actor=actor()
        )
        return _profile_data(stored)

    show(work(context, run), output)


@profiles.command("set")
def set_profile(
    context: typer.Context,
    name: Name,
    changes: Changes = None,
    settings: Settings = None,
    output: Output = Format.TEXT,
) -> None:
    """Change an enrollment profile; a running server follows within a second."""
    wanted = _settings(changes, settings, some=True)

    async def run(office: Office) -> Data:
        profile = with_settings(_profile(await office.policy(), name), wanted)
        _check_issuer(profile, office.home)
        stored = await office.administration.put_enrollment_profile(
            profile, new=False, actor=actor()
        )
        return _profile_data(stored)

    show(work(context, run), output)


@certificate_profiles.command("list")
def list_certificate_profiles(context: typer.Context, output: Output = Format.TEXT) -> None:
    """List certificate profiles."""
    rows = [_named(to_data(each)) for each in work(context, _policy).certificate_profiles.values()]
    show_all(rows, ("name", "version", "validity", "subject", "extended_key_usage"), output)


@certificate_profiles.command("show")
def show_certificate_profile(
    context: typer.Context, name: Name, output: Output = Format.TEXT
) -> None:
    """Show one certificate profile."""
    show(to_data(_certificate_profile(work(context, _policy), name)), output)


@certificate_profiles.command("add")
def add_certificate_profile(
    context: typer.Context,
    name: Name,
    copy: Copy,
    changes: Changes = None,
    settings: Settings = None,
    output: Output = Format.TEXT,
) -> None:
    """Add a certificate profile like another."""
    wanted = _settings(changes, settings)

    async def run(office: Office) -> Data:
        profile = replace(_certificate_profile(await office.policy(), copy), name=name)
        profile = with_settings(profile, wanted)
        stored = await office.administration.put_certificate_profile(
            profile, new=True, actor=actor()
        )
        return to_data(stored)

    show(work(context, run), output)


@certificate_profiles.command("set")
def set_certificate_profile(
    context: typer.Context,
    name: Name,
    changes: Changes = None,
    settings: Settings = None,
    output: Output = Format.TEXT,
) -> None:
    """Store the next version of a certificate profile; issued certificates stay as they are."""
    wanted = _settings(changes, settings, some=True)

    async def run(office: Office) -> Data:
        profile = with_settings(_certificate_profile(await office.policy(), name), wanted)
        stored = await office.administration.put_certificate_profile(
            profile, new=False, actor=actor()
        )
        return to_data(stored)

    show(work(context, run), output)


def _settings(
    changes: list[str] | None, settings: list[str] | None, *, some: bool = False
) -> dict[str, str]:
    """Read what is to be set, wherever on the line it was said."""
    wanted = parse_pairs([*(settings or ()), *(changes or ())], "--set")
    if some and not wanted:
        raise typer.BadParameter("expected KEY=VALUE: what is to change; 'show' lists the keys")
    return wanted


async def _policy(office: Office) -> PolicySnapshot:
    return await office.policy()


def group_named(policy: PolicySnapshot, name: str) -> DeviceGroup:
    for group in policy.groups.values():
        if name in {group.name, group.group_id}:
            return group
    raise NotFound(f"there is no group {name!r}; see 'enroll group list'")


def _profile(policy: PolicySnapshot, slug: str) -> EnrollmentProfile:
    profile = policy.enrollment_profiles.get(slug)
    if profile is None:
        raise NotFound(f"there is no enrollment profile {slug!r}; see 'enroll profile list'")
    return profile


def _certificate_profile(policy: PolicySnapshot, name: str) -> CertificateProfile:
    for profile in policy.certificate_profiles.values():
        if profile.name == name:
            return profile
    raise NotFound(
        f"there is no certificate profile {name!r}; see 'enroll certificate-profile list'"
    )


def _check_issuer(profile: EnrollmentProfile, home: Home) -> None:
    """Check what policy by itself cannot know: that there is such an issuer, or who follows it."""
    succession = read_succession(home)
    successors = succession.successors()
    names = {
        each.name
        for each in succession.of(AuthorityKind.ISSUING, *AuthorityState)
        if each.state is AuthorityState.ACTIVE or each.name in successors
    }
    if profile.issuer not in names:
        known = ", ".join(sorted(names))
        raise PolicyError(f"issuer: there is no issuer {profile.issuer!r}; there is {known}")


def _group_data(group: DeviceGroup) -> Data:
    return {
        "id": group.group_id,
        **to_data(group),
        "secrets": [secret_data(each) for each in group.secrets],
    }


def secret_data(secret: GroupSecret) -> Data:
    """Show a group's secret in the words of every verb that does; never the secret itself."""
    reference = secret.reference
    return {
        "id": secret.secret_id,
        "reference": show_reference(bytes.fromhex(reference)) if reference is not None else None,
        "created_at": when(secret.created_at),
        "not_before": when(secret.not_before),
        "expires_at": when(secret.expires_at),
        "max_uses": secret.max_uses,
    }


def _profile_data(profile: EnrollmentProfile) -> Data:
    return _named(to_data(profile))


def _named(data: Mapping[str, object]) -> Data:
    """Call a profile by `name` too, whatever its own word for that is."""
    return {"name": data.get("slug", data.get("name")), **data}
