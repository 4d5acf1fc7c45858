"""The ground: what enrollment is, whatever the protocol, the database or the key."""
