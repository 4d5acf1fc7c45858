"""Certification requests gone wrong: good ones taken apart, damaged, and put together again.

The same seed gives the same mutants. Half of them are signed again after the damage, so that it
reaches what lies behind the proof of possession.
"""

from base64 import b64encode, encodebytes
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random

from tests.soak.seeds import Key, seeds, sign

_TAGS = (*range(0x20), *range(0x20, 0x40, 3), 0x80, 0x82, 0x86, 0xA0, 0xA1, 0xA4, 0xBF, 0xFF)
_INTERESTING = (
    b"",
    b"\0",
    b"\xff",
    b"\x80",
    b"\0\0",
    b"\x7f\xff\xff\xff",
    b"\xff" * 64,
    b"\0" * 1_024,
    b"%s%n{0}${jndi:ldap://x}",
    b"' OR 1=1 --",
    "\u202e\U0001f4a3".encode(),
    b"\r\nSet-Cookie: a=b\r\n\r\n",
    b"\x30\x80\0\0",
    b"../../etc/passwd\0",
)
_MAX_GROWTH = 20_000


@dataclass
class Node:
    """One element: a content of octets, or of further elements."""

    tag: int
    content: bytes = b""
    children: list["Node"] | None = None

    def encode(self) -> bytes:
        content = self.content
        if self.children is not None:
            # Of an OCTET STRING or BIT STRING that holds elements, `content` is what precedes them.
            content += b"".join(child.encode() for child in self.children)
        return bytes([self.tag]) + _length(len(content)) + content


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """Give bodies as clients might send them: DER, base64 and PEM, most of them damaged."""
    random = Random(seed)  # noqa: S311 - a test wants to repeat itself
    for der in der_mutants(random.getrandbits(64), count):
        yield random.choices(_DRESSES, weights=(3, 3, 2, 1, 1))[0](random, der)


def der_mutants(seed: int, count: int) -> Iterator[bytes]:
    """Give certification requests in what was DER once."""
    random = Random(seed)  # noqa: S311 - as above
    for _ in range(count):
        key, der = random.choice(seeds())
        yield request_mutant(random, key, der)


def request_mutant(random: Random, key: Key, der: bytes) -> bytes:
    """Damage a certification request of this key, and sign it again or not."""
    tree = parse(der)
    _damage(random, tree)
    if random.random() < 0.5:
        _sign_again(tree, key)
    return _damaged(random, tree.encode())


def mutant_of(random: Random, der: bytes) -> bytes:
    """Damage any message in DER, or leave it whole now and then."""
    tree = parse(der)
    _damage(random, tree)
    return _damaged(random, tree.encode())


def parse(der: bytes) -> Node:
    """Take apart one element, and what lies as elements inside its strings."""
    node, after = _parse(der, 0)
    if after != len(der):
        raise ValueError("something follows the element")
    return node


def _parse(der: bytes, at: int) -> tuple[Node, int]:
    tag, length = der[at], der[at + 1]
    at += 2
    if length >= 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[at : at + octets])
        at += octets
    end = at + length
    if end > len(der):
        raise ValueError("the element is cut off")
    content = der[at:end]
    if tag & 0x20:
        return Node(tag, children=_parse_all(content)), end
    prefix = {0x03: 1, 0x04: 0}.get(tag)
    if prefix is not None and content[prefix : prefix + 1] == b"\x30":
        try:
            return Node(tag, content[:prefix], _parse_all(content[prefix:])), end
        except (ValueError, IndexError):
            pass  # It only looked like elements.
    return Node(tag, content), end


def _parse_all(content: bytes) -> list[Node]:
    nodes = []
    at = 0
    while at < len(content):
        node, at = _parse(content, at)
        nodes.append(node)
    return nodes


def _length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([0x80 | len(octets)]) + octets


def _damage(random: Random, tree: Node) -> None:
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        mutate = random.choice(_TREE_MUTATIONS)
        mutate(random, tree)
        if mutate is _multiply:
            break  # What is there many times is one node: a second change would be many.


def _damaged(random: Random, octets: bytes) -> bytes:
    return damaged_octets(random, octets) if random.random() < 0.3 else octets


def _lists(tree: Node) -> list[list[Node]]:
    """Give every list of children that holds any, the tree's own first."""
    found = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node.children:
            found.append(node.children)
            waiting.extend(node.children)
    return found


def _pick(random: Random, tree: Node) -> tuple[list[Node], int]:
    siblings = random.choice(_lists(tree) or [[tree]])
    return siblings, random.randrange(len(siblings))


def _drop(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    del siblings[index]


def _duplicate(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    siblings.insert(index, deepcopy(siblings[index]))


def _multiply(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    size = max(1, len(siblings[index].encode()))
    siblings[index:index] = [siblings[index]] * min(
        random.choice((10, 100, 5_000)), _MAX_GROWTH // size
    )


def _retag(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    siblings[index].tag = random.choice(_TAGS)


def _resize(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    content = siblings[index].content
    longer = content * random.choice((0, 2, 50)) + bytes(random.choice((0, 1, 1_200)))
    siblings[index].content = longer[:_MAX_GROWTH]


def _replace(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    siblings[index] = Node(
        siblings[index].tag, random.choice((*_INTERESTING, random.randbytes(20)))
    )


def _swap(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    others, other = _pick(random, tree)
    # Copies, so that no node ever comes to lie inside itself.
    siblings[index], others[other] = deepcopy(others[other]), deepcopy(siblings[index])


def _nest(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    for _ in range(random.choice((1, 10, 30))):
        siblings[index] = Node(random.choice((0x30, 0x31, 0xA0)), children=[siblings[index]])


def _graft(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    _, donor = random.choice(seeds())
    others, other = _pick(random, parse(donor))
    siblings[index] = others[other]


def _empty(random: Random, tree: Node) -> None:
    siblings, index = _pick(random, tree)
    siblings[index] = Node(siblings[index].tag)


def damaged_octets(random: Random, octets: bytes) -> bytes:
    """Damage octets that need not be of any form."""
    return random.choice(_OCTET_MUTATIONS)(random, octets)


def _flip(random: Random, octets: bytes) -> bytes:
    damaged = bytearray(octets)
    for _ in range(random.choice((1, 1, 2, 16))):
        if damaged:
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _truncate(random: Random, octets: bytes) -> bytes:
    return octets[: random.randrange(len(octets) + 1)]


def _insert(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets) + 1)
    return octets[:at] + random.choice((*_INTERESTING, random.randbytes(8))) + octets[at:]


def _append(random: Random, octets: bytes) -> bytes:
    return octets + random.choice((b"\0", b"\n", octets, random.randbytes(5)))


def _relength(random: Random, octets: bytes) -> bytes:
    """Write one of the lengths otherwise: indefinite, too long, or too large."""
    damaged = bytearray(octets)
    at = random.randrange(1, max(2, min(len(damaged), 12)))
    damaged[at : at + 1] = random.choice((b"\x80", b"\x81\x05", b"\x84\0\0\0\x40", b"\x84\xff\xff"))
    return bytes(damaged)


def _sign_again(tree: Node, key: Key) -> None:
    if tree.children and len(tree.children) > 1:
        tree.children[-1] = Node(0x03, b"\0" + sign(key, tree.children[0].encode()))


def _bare(random: Random, der: bytes) -> bytes:
    del random
    return der


def _one_line(random: Random, der: bytes) -> bytes:
    del random
    return b64encode(der)


def _lines(random: Random, der: bytes) -> bytes:
    return encodebytes(der).replace(b"\n", random.choice((b"\n", b"\r\n", b" \t\n", b"\r")))


def _armor(random: Random, der: bytes) -> bytes:
    label = random.choice(
        (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST", b"CERTIFICATE", b"", b"-----")
    )
    pem = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, encodebytes(der), label)
    return random.choice((pem, pem + pem, pem[:-20], b"\xef\xbb\xbf" + pem, pem.lower()))


def _broken_text(random: Random, der: bytes) -> bytes:
    return damaged_octets(random, b64encode(der))


_TREE_MUTATIONS: tuple[Callable[[Random, Node], None], ...] = (
    _drop,
    _duplicate,
    _multiply,
    _retag,
    _resize,
    _replace,
    _swap,
    _nest,
    _graft,
    _empty,
)
_OCTET_MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _flip,
    _truncate,
    _insert,
    _append,
    _relength,
)
_DRESSES = (_bare, _one_line, _lines, _armor, _broken_text)
