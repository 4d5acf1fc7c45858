"""Cryptographic Message Syntax (RFC 5652), as far as enrollment needs it."""
