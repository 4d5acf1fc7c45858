"""Certificate Request Message Format (RFC 4211): what CMC and CMP ask for certificates with."""
