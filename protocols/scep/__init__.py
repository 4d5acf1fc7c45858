"""Simple Certificate Enrollment Protocol: RFC 8894, and the clients that are older than it."""
