"""The documents say what is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import ledger
from appliance.commands import command_line
from appliance.config import deliverychecks, load
from appliance.delivery import costs, dwell, origins, rendezvous, values
from appliance.health import board, decay, lastgood, observers, watch
from appliance.model import Cause, Delivery, Layer, Pop, PopWeights, Probe, ProbeType, Rule
from appliance.probe import program
from appliance.shared import delivering, guarding, room

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
                r"``((?:appliance|dns|pools|servers|client_nat|sites|control|timeouts|tcp|quota|pressure|period"
                r"|probes|pops|delivery|rule)(?:\.[a-z_*]+)+)",
                path.read_text(),
            ):
                if not key.endswith((".py", ".yaml", ".sock")):
                    self.assertEqual(set(key.split(".")) - known, set(), f"{path}: {key}")

    def test_files_exist(self) -> None:
        """A file that a document names is there."""
        for path in DOCUMENTS:
            for name in re.findall(r"``((?:docs|tests|etc|appliance)/[a-z_./]+\.[a-z]+)``", path.read_text()):
                self.assertTrue((ROOT / name).exists(), f"{path}: {name}")

    def test_example_commands(self) -> None:
        """What etc/pops and the documents say to type leads to what these files configure."""
        files = sorted((ROOT / "etc" / "pops").glob("*.yaml"))
        configs = [load(str(file)) for file in files]
        names = {name for each in configs for one in each.delivery.values() for name in (*one.pages, *one.static)}
        listening = {f"{endpoint.address} {endpoint.port}" for each in configs for endpoint in each.dns.listen}
        servers = {f"{one.address} {one.port}" for each in configs for one in each.servers.values()}
        sockets = {f"etc/pops/var/{each.name}/control.sock" for each in configs}
        self.assertEqual({str(each.control_socket) for each in configs}, {str(ROOT / each) for each in sockets})
        for path in (*files, ROOT / "docs" / "delivery.rst", ROOT / "docs" / "requirements.rst", ROOT / "README.rst"):
            text = path.read_text()
            for said in re.findall(r"dig @(127\.0\.11\.[^ ]+ -p [0-9]+ [a-z0-9.]+)", text):
                address, _, port, name = said.split()
                self.assertIn(f"{address.replace('$n', '1')} {port}", listening, path)
                self.assertIn(name, names, path)
            for port, address in re.findall(r"http\.server ([0-9]+) --bind (127\.0\.21\.[0-9]+)", text):
                self.assertIn(f"{address} {port}", servers, path)
            for file in re.findall(r"--config (etc/pops/[a-z0-9$.]+)", text):
                self.assertIn(ROOT / file.replace("$pop", "ams1"), files, path)
            for socket in re.findall(r"(etc/pops/var/[^ ]+\.sock)", text):
                self.assertIn(socket.replace("$pop", "ams1"), sockets, path)
            for name in re.findall(r"control\.sock explain ([a-z0-9.]+\.example\.test)", text):
                self.assertIn(name, names, path)


def text_of(default: object) -> str:
    """As the documents write it."""
    if default is attrs.NOTHING:
        return "required"
    if default in ((), "", None):
        return "none"
    if isinstance(default, Enum):
        return str(default.value)
    return f"{default:g}" if isinstance(default, int | float) else str(default)


def defaults(of: type, prefix: str = "") -> dict[str, str]:
    """By key; what is a section of its own is left out."""
    fields = {field.name: field.default for field in attrs.fields(of)}
    return {f"{prefix}{name}": text_of(fields[name]) for name in fields.keys() - {"name", "rule", "pops"}}


class NetworkTests(SynchronousTestCase):
    """docs/health.rst and docs/delivery.rst: every key, every default and every number."""

    def rows(self, page: str, heading: str) -> dict[str, str]:
        """First and second column of the table with this heading; a line without a first one goes on."""
        text = (ROOT / "docs" / page).read_text()
        table = re.search(rf"(?m)^=+  [= ]+\n{re.escape(heading)} .*\n=+  [= ]+\n((?:.*\n)+?)=+  [= ]+\n", text)
        assert table is not None, heading
        found = [re.split(r"  +", line, maxsplit=2) for line in table[1].splitlines() if line[:1].strip()]
        return {row[0].strip("`"): row[1] for row in found if len(row) > 1}

    def test_defaults(self) -> None:
        spans = {"interval", "fast_interval", "idle_interval", "timeout", "ttl"}
        common = {"type", "port", "rise", "fall", "ok", *spans} - {"ttl"}
        probe = {name: value for name, value in defaults(Probe).items() if name in common}
        delivery = defaults(Delivery) | defaults(Rule, "rule.") | defaults(PopWeights, "rule.pops.")
        for page, heading, wanted in (
            ("health.rst", "``probes.*``", probe),
            ("health.rst", "``pops.*``", defaults(Pop)),
            ("delivery.rst", "``delivery.*``", delivery),
        ):
            written = {name: value for name, value in self.rows(page, heading).items() if name != "rule"}
            self.assertEqual(written, {name: f"{value}s" if name in spans else value for name, value in wanted.items()})

    def test_every_key_of_a_probe(self) -> None:
        text = (ROOT / "docs" / "health.rst").read_text()
        for name in {*defaults(Probe), *(each.value for each in ProbeType)}:
            self.assertIn(f"``{name}``", text)

    def test_layers_and_causes(self) -> None:
        for heading, words in (("layer", Layer), ("cause", Cause)):
            self.assertEqual(list(self.rows("health.rst", heading)), [each.value for each in words])

    def test_every_weight_is_in_the_table_of_costs(self) -> None:
        self.assertEqual(list(self.rows("delivery.rst", "weight")), [each.name for each in costs.MEASURES])

    def test_numbers(self) -> None:
        """Each number of the tables at the end is the code's."""
        self.numbers("health.rst", {
            "512": board.MOST,
            "300 s": watch.IDLE_AFTER,
            "30 s": decay.LATENCY_PERIOD,
            "3": watch.LOAD_INTERVALS if watch.LOAD_INTERVALS == observers.PERIODS else None,
            "5": board.FLAPPING,
            "60 s": observers.KEEP,
            "8": lastgood.SETTLED,
        })  # fmt: skip
        self.numbers("delivery.rst", {
            "50 ms": costs.TIME_REFERENCE * 1000,
            "0.8": costs.MEMORY_FROM,
            "0.95": costs.FULL_FROM,
            "100 ms": costs.LAG_REFERENCE * 1000,
            "10 s": origins.DECAY_PERIOD,
            "1 s": room.AHEAD if room.AHEAD == delivering.LOOK_INTERVAL else None,
            "3": dwell.PATIENCE_INTERVALS,
            "30 s": dwell.RESIDENCE,
            "1024": rendezvous.BUCKETS,
            "0.9": deliverychecks.GIVEN_OUT if deliverychecks.GIVEN_OUT == 1 - ledger.HEADROOM else None,
            "0.2": values.JITTER,
            "65 536": ledger.MOST_RESOLVERS,
        })  # fmt: skip
        self.assertIn(f"{program.MOST_PROGRAMS} of them programs", (ROOT / "docs" / "health.rst").read_text())
        self.assertEqual(guarding.SOURCE_BITS, {4: 24, 6: 56})

    def numbers(self, page: str, known: Mapping[str, Any]) -> None:
        text = (ROOT / "docs" / page).read_text().partition("Numbers without a key")[2]
        found = re.findall(r"(?m)^([0-9][^ ]*(?: [a-z0-9]+)?)  +\S", text)
        self.assertEqual(found, list(known))
        for written, value in known.items():
            self.assertAlmostEqual(float(re.sub(r"[^0-9.]", "", written)), value, msg=f"{page}: {written}")
