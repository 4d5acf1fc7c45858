"""The authority: keys, certificates and revocation lists; it signs orders and decides nothing."""
