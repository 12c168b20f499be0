"""The version of the project, equal to the newest entry of CHANGELOG.md (a test compares them)."""

__version__ = "0.7.0"
