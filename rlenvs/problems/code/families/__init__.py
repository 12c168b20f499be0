"""The families of code problems, a module for each topic; importing them fills `FAMILIES`."""

from rlenvs.problems.code.families import list_families, number_families

FAMILY_MODULES = (number_families, list_families)
"""Imported for the families that they add."""
