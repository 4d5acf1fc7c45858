"""Takes a step of a rollover again and again, killed at each file that it puts in place.

Prints, as JSON, in which phase each death left the home, and how the last try ended.
"""

import json
import os
import signal
import sys
from pathlib import Path

from server.authorities import load_authorities
from server.cli.main import run
from server.home import Home, read_passphrase


def main() -> None:
    home, words = Home(Path(sys.argv[1])), sys.argv[2:]
    phases = []
    for number in range(1, 100):
        child = os.fork()
        if child == 0:
            _die_at_rename(number)
            with Path(os.devnull).open("w") as nowhere:
                sys.stdout = nowhere
                os._exit(run(["--home", str(home.path), *words]))
        _, status = os.waitpid(child, 0)
        # Whatever was left: the server opens it.
        found = load_authorities(home, read_passphrase(home.passphrase), "http://localhost")
        phases.append(found.succession.phase.value)
        if os.WIFEXITED(status):
            sys.stdout.write(json.dumps({"phases": phases, "code": os.WEXITSTATUS(status)}))
            return
    raise AssertionError("it never ended")


def _die_at_rename(number: int) -> None:
    rename, left = Path.rename, number

    def dying(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    Path.rename = dying  # type: ignore[assignment,method-assign]  # in this process only


if __name__ == "__main__":
    main()
