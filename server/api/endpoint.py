"""`/api/v1`: who asks, whether it may, and which resource answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from enroll.access_keys import AccessKeys, Permission, may
from enroll.failures import NotFound, RegistryUnavailable
from enroll.ports import AccessKey
from protocols.wire import TransportFault, WireRequest, WireResponse
from server.api.problems import Problem, encode_problem
from server.backoff import Backoff

_BEARER = ("WWW-Authenticate", 'Bearer realm="enrollment server"')
# Who sends no length sends no body (RFC 9112 §6.3): curl -X POST does so.
_FAULTS = {
    TransportFault.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TransportFault.BODY_TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    TransportFault.CONTENT_ENCODING: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of somebody who may make it; `names` are what the path names, in order."""

    wire: WireRequest
    key: AccessKey
    names: tuple[str, ...]

    @property
    def actor(self) -> str:
        return f"key:{self.key.key_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A path below `/api/v1`, the one method that it takes, and who may use it."""

    path: re.Pattern[str]
    method: str
    permission: Permission
    run: Callable[[Call], Awaitable[WireResponse]]


class API:
    """An `Endpoint` for all of REST. Callers that are not proven learn nothing, not even paths."""

    def __init__(self, keys: AccessKeys, backoff: Backoff, resources: tuple[Resource, ...]) -> None:
        self._keys = keys
        self._backoff = backoff
        self._resources = resources

    async def __call__(self, wire: WireRequest) -> WireResponse:
        try:
            return await self._serve(wire)
        except Problem as problem:
            return encode_problem(problem, wire.correlation_id)
        except NotFound as error:
            missing = Problem(HTTPStatus.NOT_FOUND, "not_found", str(error))
            return encode_problem(missing, wire.correlation_id)
        except RegistryUnavailable as error:
            busy = Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "registry_unavailable",
                "the registry cannot serve now; try again",
                headers=(("Retry-After", str(error.retry_after)),),
            )
            return encode_problem(busy, wire.correlation_id)

    async def _serve(self, wire: WireRequest) -> WireResponse:
        key = await self._prove(wire)
        found = [
            (each, match) for each in self._resources if (match := each.path.fullmatch(wire.path))
        ]
        if not found:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", "there is no such resource")
        resource, match = found[0]
        if wire.method != resource.method:
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method_not_allowed",
                f"this resource takes {resource.method}",
                headers=(("Allow", resource.method),),
            )
        if not may(key, resource.permission):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "forbidden",
                f"a key of role {key.role} has no permission {resource.permission}",
            )
        if wire.fault in _FAULTS:
            raise Problem(_FAULTS[wire.fault], wire.fault.value, "the body cannot be read")
        return await resource.run(Call(wire=wire, key=key, names=match.groups()))

    async def _prove(self, wire: WireRequest) -> AccessKey:
        """Give the key that was shown. Every bearer that is not good gets the same answer."""
        wait = self._backoff.wait(wire.peer_address)
        if wait:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "rate_limited",
                "too many failed authentications from this address",
                headers=(("Retry-After", str(wait)),),
            )
        scheme, _, bearer = wire.headers.get("Authorization", "").partition(" ")
        key = await self._keys.prove(bearer.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            if scheme:
                self._backoff.failed(wire.peer_address)
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "not_authenticated",
                "show an access key: Authorization: Bearer ak_...",
                headers=(_BEARER,),
            )
        self._backoff.succeeded(wire.peer_address)
        return key
