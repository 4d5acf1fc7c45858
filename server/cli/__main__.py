"""Lets tests and tools run the command with a chosen interpreter."""

from server.cli.main import main

if __name__ == "__main__":
    main()
