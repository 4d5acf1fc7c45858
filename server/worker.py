"""One worker process of several: what the supervisor starts."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from enroll.failures import AuthorityUnavailable
from server.config.load import Config, ConfigurationError, load_config
from server.home import Home, HomeError
from server.listening import Listening, ListeningError
from server.process import Part, run_server, serve_until_done
from server.supervisor import Assignment


def main() -> None:
    """Serve as the assignment in the first argument says."""
    assignment = Assignment.decode(sys.argv[1])
    home = Home(Path(assignment.home))

    def read_config() -> Config:
        return load_config(home.configuration, assignment.server)

    part = Part(
        stream=f"server-{assignment.number}",
        leads=assignment.number == 1,
        shares_ports=True,
        unix=_inherited(assignment.unix),
    )

    async def introduce(listening: Listening) -> None:
        del listening
        loop = asyncio.get_running_loop()
        loop.add_reader(assignment.life, _end, loop, assignment.life)
        with contextlib.suppress(BrokenPipeError), os.fdopen(assignment.report, "wb") as report:
            report.write(b"listening\n")

    try:
        serve_until_done(run_server(home, read_config, introduce, part))
    except (ConfigurationError, HomeError, ListeningError, AuthorityUnavailable) as error:
        sys.exit(f"enroll: worker {assignment.number}: {error}")


def _end(loop: asyncio.AbstractEventLoop, life: int) -> None:
    """End as if told to: the supervisor is gone, and nobody would restart or stop us."""
    loop.remove_reader(life)
    os.kill(os.getpid(), signal.SIGTERM)


def _inherited(descriptor: int | None) -> socket.socket | None:
    return socket.socket(fileno=descriptor) if descriptor is not None else None


if __name__ == "__main__":
    main()
