"""The families of code problems, a module for each topic; importing them fills `FAMILIES`."""

from rlenvs.problems.code.families import (
    account_families,
    calendar_families,
    class_families,
    grid_families,
    interval_families,
    list_families,
    machine_families,
    mapping_families,
    number_families,
    parsing_families,
    program_families,
    search_families,
    sequence_families,
    string_families,
)

__all__ = ["FAMILY_MODULES"]

FAMILY_MODULES = (
    number_families,
    list_families,
    sequence_families,
    string_families,
    parsing_families,
    mapping_families,
    interval_families,
    grid_families,
    search_families,
    machine_families,
    calendar_families,
    program_families,
    class_families,
    account_families,
)
"""Imported for the families that they add."""
