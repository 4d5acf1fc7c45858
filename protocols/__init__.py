"""The wire: bytes to enrollment vocabulary and back; synchronous, without sockets, clock or database."""
