"""The documents say what is there."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.commands import command_line

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.rst"), *(ROOT / "docs").glob("*.rst")]


class DocumentTests(SynchronousTestCase):
    def test_every_page_is_in_the_index(self) -> None:
        """And every entry of the index is a page."""
        listed = set(re.findall(r"(?m)^   ([a-z]+)$", (ROOT / "docs" / "index.rst").read_text()))
        self.assertEqual(listed, {path.stem for path in (ROOT / "docs").glob("*.rst")} - {"index"})

    def test_commands_exist(self) -> None:
        """Each ``make X`` is a target and each ``appliance X`` a verb."""
        targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
        verbs = set(command_line()._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]
        for path in DOCUMENTS:
            text = path.read_text()
            made = {a or b for a, b in re.findall(r"(?m)``make ([a-z]+)``|^    make ([a-z]+)", text)}
            self.assertEqual(made - targets, set(), path)
            used = set(re.findall(r"(?m)(?:bin/|``|\$ |^ +|\| )appliance ([a-z][a-z-]+)\b(?! is| and| has)", text))
            self.assertEqual(used - verbs - {"shares"}, set(), path)

    def test_events_are_listed(self) -> None:
        """Every event of the log is in docs/events.rst, once, and nothing else."""
        source = "".join(path.read_text() for path in (ROOT / "appliance").rglob("*.py"))
        named = set(re.findall(r'event="([a-z-]+)"', source))
        named |= set(re.findall(r'seconds, "([a-z-]+)"', source))
        named |= set(re.findall(r'_complain\b[^"\n]*"([a-z]+-[a-z-]+)"', source))
        eventlog = (ROOT / "appliance" / "control" / "eventlog.py").read_text()
        named |= set(re.findall(r'(?m)\("?\s*"([a-z]+-[a-z]+)"', eventlog))
        listed = re.findall(r"(?m)^   \* - ``([a-z-]+)``", (ROOT / "docs" / "events.rst").read_text())
        self.assertEqual(sorted(named), sorted(listed))

    def test_keys_exist(self) -> None:
        """Each part of a key path that a document names is a key of etc/appliance.yaml, commented out ones included."""
        reference = (ROOT / "etc" / "appliance.yaml").read_text()
        known = {*re.findall(r"(?m)^[ #]*([a-z0-9_]+):", reference), "*"}
        for path in DOCUMENTS:
            for key in re.findall(
                r"``((?:appliance|dns|pools|servers|client_nat|sites|control|timeouts|tcp|quota|pressure|period)(?:\.[a-z_*]+)+)",
                path.read_text(),
            ):
                if not key.endswith((".py", ".yaml", ".sock")):
                    self.assertEqual(set(key.split(".")) - known, set(), f"{path}: {key}")

    def test_files_exist(self) -> None:
        """A file that a document names is there."""
        for path in DOCUMENTS:
            for name in re.findall(r"``((?:docs|tests|etc|appliance)/[a-z_./]+\.[a-z]+)``", path.read_text()):
                self.assertTrue((ROOT / name).exists(), f"{path}: {name}")
