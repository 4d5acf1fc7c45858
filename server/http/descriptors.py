"""File descriptors: as many as the connections that are wanted, or as many as may be had."""

import resource

RESERVED = 128
"""For what is no connection: listeners, the database, the log, files that are read."""


def room_for(connections: int) -> int:
    """Raise the process's limit as far as needed and allowed; give how many connections fit.

    Where they run out, no one is let in any more: a thousand slow clients would do, for that is
    the limit that many systems begin with.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - RESERVED))
