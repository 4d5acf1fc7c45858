"""The command line: one door to the same use cases as every other."""
