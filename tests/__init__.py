"""Tests of the house, from single rooms to whole installations."""
