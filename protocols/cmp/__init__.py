"""Certificate Management Protocol (RFC 9810)."""
