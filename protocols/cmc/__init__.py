"""Certificate Management over CMS (RFC 5272, RFC 6402): the Full PKI Request and Response."""
