"""The roof: sockets, files, configuration and commands; it knows everything, nothing knows it."""
