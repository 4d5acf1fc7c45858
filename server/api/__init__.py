"""REST: the management interface over HTTP."""
