"""A load generator that must not be the limit: prebuilt requests over raw connections.

Run as a program of its own, pinned to the last core: `python -m benchmarks.load PLAN.json`. The
plan names a target (`unix` path, or `host` and `port`), the number of connections, and a file of
requests (each with its length in front). Prints what was answered, as JSON.
"""

import asyncio
import json
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def pack(requests: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(each)) + each for each in requests)


def unpack(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        position += 4
        yield data[position : position + length]
        position += length


async def _drive(plan: dict[str, object], pending: Iterator[bytes]) -> dict[str, int]:
    statuses: Counter[str] = Counter()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "unix" in plan:
            return await asyncio.open_unix_connection(str(plan["unix"]))
        return await asyncio.open_connection(str(plan["host"]), int(str(plan["port"])))

    async def worker() -> None:
        reader, writer = await connect()
        for request in pending:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            statuses[head[9:12].decode()] += 1
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            await reader.readexactly(length)
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await connect()
        writer.close()

    await asyncio.gather(*(worker() for _ in range(int(str(plan["connections"])))))
    return dict(statuses)


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    plan = json.loads(Path(sys.argv[1]).read_text())
    requests = list(unpack(Path(plan["requests"]).read_bytes()))
    json.dump(asyncio.run(_drive(plan, iter(requests))), sys.stdout)


if __name__ == "__main__":
    main()
