"""
The house stands: imports go to lower ranks only, pure rooms know no outside world, and one module knows the reactor.

docs/architecture.rst draws what is held here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = Path(__file__).parent.parent / "appliance"

RANKS: dict[str, int] = {
    **dict.fromkeys(
        ("config", "model", "events", "errors", "deadlines", "interfaces", "peering", "polling", "secretfiles"), 0
    ),
    **dict.fromkeys(("balancing", "capacity", "delivery", "health", "leasing", "naming", "ports", "views"), 1),
    "shared": 2,
    **dict.fromkeys(
        ("nameserver", "nat", "probe", "store", "control", "transfers", "vitals", "reaper", "reloading", "demo"), 3
    ),
    "assembly": 4,
    **dict.fromkeys(("tap", "commands"), 5),
}
SAME_RANK = {
    ("config", "model"),
    ("config", "errors"),
    ("config", "events"),
    ("config", "secretfiles"),
    ("events", "model"),
    ("interfaces", "events"),
    ("interfaces", "model"),
    ("peering", "model"),
    ("secretfiles", "errors"),
}
"""Values may build on values."""

PURE = ("balancing", "capacity", "delivery", "health", "leasing", "naming", "ports", "views")
OUTSIDE = {
    "twisted",
    "yaml",
    "time",
    "socket",
    "os",
    "logging",
    "threading",
    "asyncio",
    "select",
    "subprocess",
    "psutil",
}


def imports(path: Path) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(line, module, names) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its rank"
            yield node.lineno, node.module or "", tuple(alias.name for alias in node.names)


def room_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


class ImportTests(SynchronousTestCase):
    def test_every_room_has_a_rank(self) -> None:
        """A new room is placed before it is furnished."""
        self.assertEqual({room_of(path) for path in modules()} - set(RANKS), set())

    def test_imports_go_down(self) -> None:
        """To a lower rank, or to the same room; siblings do not know each other."""
        wrong = []
        for path in modules():
            room = room_of(path)
            for line, module, names in imports(path):
                if module.split(".")[0] != "appliance":
                    continue
                targets = {module.split(".")[1]} if "." in module else set(names) & set(RANKS)
                for target in targets - {room}:
                    if RANKS[target] >= RANKS[room] and (room, target) not in SAME_RANK:
                        wrong.append(f"{path}:{line}: {room} (rank {RANKS[room]}) imports {target} ({RANKS[target]})")
        self.assertEqual(wrong, [])

    def test_pure_rooms_know_no_outside(self) -> None:
        """Time and chance come in as arguments."""
        wrong = []
        for path in modules():
            for line, module, names in imports(path):
                if room_of(path) in PURE and (module.split(".")[0] in OUTSIDE or (module == "random" and names)):
                    wrong.append(f"{path}:{line}: {module}")
        self.assertEqual(wrong, [])

    def test_only_tap_knows_the_reactor(self) -> None:
        """Everybody else is given one."""
        knowing = {
            str(path.relative_to(PACKAGE))
            for path in modules()
            for _, module, names in imports(path)
            if module == "twisted.internet.reactor" or (module == "twisted.internet" and "reactor" in names)
        }
        self.assertEqual(knowing, {"tap.py"})

    def test_importing_installs_no_reactor(self) -> None:
        """Nor does anything that is imported; but for tap, and the manhole, whose Twisted parts do."""
        late = {"appliance.tap", "appliance.control.manhole", "appliance.control.ssh", "appliance.commands.__main__"}
        names = {".".join(path.with_suffix("").relative_to(PACKAGE.parent).parts) for path in modules()}
        names = {name.removesuffix(".__init__") for name in names} - late
        script = f"import sys, importlib\nfor name in {sorted(names)!r}: importlib.import_module(name)\n"
        script += "sys.exit('twisted.internet.reactor' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", script], cwd=PACKAGE.parent, check=False)
        self.assertEqual(done.returncode, 0)
