"""The registry in dictionaries: the same promises as on SQL, kept while the process lives."""

from registry.memory.unit_of_work import MemoryRegistry

__all__ = ["MemoryRegistry"]
