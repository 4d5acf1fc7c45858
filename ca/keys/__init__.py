"""Private keys, wherever they live."""
