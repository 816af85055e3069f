"""Documents: the changelog's form, folders described, and words that name somebody's machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from tests.repo.sources import Finding

__all__ = ["changelog_form", "foreign_words", "undescribed_folders"]

# Written with one-letter classes, so that this file does not contain the words itself.
_FOREIGN: Final = re.compile(
    r"/wor[k]/|/roo[t]/|/hom[e]/\w|/User[s]/\w|files\.pythonhoste[d]|pypi\.or[g]|registry\.npmj[s]|deb\.debia[n]"
)
_SECTIONS: Final = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_RELEASE: Final = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d{2}-\d{2}")


def foreign_words(path: str, text: str) -> list[Finding]:
    """Find paths of a machine and hosts of a package index: the project speaks of itself alone."""
    return [
        Finding(path, number, f"names a machine or an index: {match[0]}")
        for number, line in enumerate(text.splitlines(), start=1)
        for match in _FOREIGN.finditer(line)
    ]


def changelog_form(path: str, text: str) -> list[Finding]:
    """Find departures from the form of Keep a Changelog."""
    findings = []
    lines = text.splitlines()
    if not lines or lines[0] != "# Changelog":
        findings.append(Finding(path, 1, "the first line must be '# Changelog'"))
    headings = [(number, line[3:]) for number, line in enumerate(lines, start=1) if line.startswith("## ")]
    if not headings or headings[0][1] != "[Unreleased]":
        findings.append(Finding(path, 1, "the first heading must be '## [Unreleased]'"))
    versions = []
    for number, heading in headings[1:]:
        match = _RELEASE.fullmatch(heading)
        if match is None:
            findings.append(Finding(path, number, f"'{heading}' is not '[1.2.3] - 2030-01-31'"))
        else:
            versions.append(tuple(map(int, match.groups())))
    if versions != sorted(set(versions), reverse=True):
        findings.append(Finding(path, 1, "releases must go from the newest to the oldest"))
    return findings + _section_findings(path, lines)


def undescribed_folders(folders: Iterable[str], readme: str) -> list[str]:
    """Return the folders that have no row ``| `name/` |`` in the README."""
    described = set(re.findall(r"^\| `(\w+)/` \|", readme, re.MULTILINE))
    return sorted(set(folders) - described)


def _section_findings(path: str, lines: list[str]) -> list[Finding]:
    findings = []
    for number, line in enumerate(lines, start=1):
        if not line.startswith("### "):
            continue
        if line[4:] not in _SECTIONS:
            findings.append(Finding(path, number, f"'{line[4:]}' is none of {', '.join(_SECTIONS)}"))
        following = [text for text in lines[number:] if text.strip()]
        if not following or not following[0].startswith("- "):
            findings.append(Finding(path, number, f"'{line[4:]}' has no entries"))
    return findings
