"""Listeners: TLS, HTTP, limits and deadlines, down to one `WireRequest` and one `WireResponse`."""
