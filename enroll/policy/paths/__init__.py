"""Certification paths: found from what was sent and what is known, and validated by RFC 5280 §6."""
