"""What a request passes through, one awaitable each; a stage takes what the one before proved."""
