"""The wire: bytes to vocabulary and back; synchronous, without sockets, clock or database."""
