"""The documents keep their promises: commands, the changelog's form, nobody's machine."""

from __future__ import annotations

import pytest

from tests.repo.document_rules import changelog_form, foreign_words
from tests.repo.sources import ROOT, report, text_files


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_gives_the_two_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_changelog_keeps_its_form() -> None:
    findings = changelog_form("CHANGELOG.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert not findings, report(findings)


def test_no_file_names_a_machine_or_an_index() -> None:
    findings = [
        finding
        for path in text_files()
        for finding in foreign_words(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    "word",
    [
        "/" + "work/x",
        "/" + "root/x",
        "/" + "home/ann",
        "https://pypi" + ".org/x",
        "files." + "pythonhosted.org",
    ],
)
def test_the_word_rule_finds(word: str) -> None:
    assert [(finding.line, finding.path) for finding in foreign_words("a.md", f"\nsee {word}")] == [(2, "a.md")]


def test_the_word_rule_leaves_urls_and_folders_alone() -> None:
    assert foreign_words("a.md", "https://docs.celeryq.dev and tests/work.py and ~/home") == []


GOOD_CHANGELOG = """\
# Changelog

## [Unreleased]

### Added

- It.

## [1.0.0] - 2030-01-01

### Fixed

- That.
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# Changelog\n", "# Changes\n", "the first line must be '# Changelog'"),
        ("## [Unreleased]", "## Next", "the first heading must be '## [Unreleased]'"),
        ("2030-01-01", "January", "'[1.0.0] - January' is not '[1.2.3] - 2030-01-31'"),
        (
            "## [1.0.0]",
            "## [0.9.0] - 2029-01-01\n\n## [1.0.0]",
            "releases must go from the newest to the oldest",
        ),
        ("### Added", "### New", "'New' is none of Added, Changed, Deprecated, Removed, Fixed, Security"),
        ("- It.\n", "", "'Added' has no entries"),
    ],
)
def test_the_changelog_rule_finds(old: str, new: str, message: str) -> None:
    findings = changelog_form("CHANGELOG.md", GOOD_CHANGELOG.replace(old, new))
    assert [finding.message for finding in findings] == [message]


def test_the_changelog_rule_accepts_the_form() -> None:
    assert changelog_form("CHANGELOG.md", GOOD_CHANGELOG) == []
