"""Probes: which keys each type has, what is read of them, which port they look at, and the files that they name."""

from __future__ import annotations

import os
import ssl

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Probe, ProbeType
from tests.config import FUZZ, ZONE, faults, read, warnings

PLACE = "a.yaml:10: probes.x"
DURATION = "allowed: seconds, or a number with ms, s, m, h or d, from"
OWN_KEYS = {
    "tcp": set(),
    "http": {"path", "host", "expect", "contains", "most_bytes"},
    "https": {"path", "host", "expect", "contains", "most_bytes", "verify", "ca", "expiry"},
    "ftp": {"contains", "user", "password", "path", "transfer", "most_bytes"},
    "dns": {"qname", "qtype", "stream"},
    "smtp": {"host", "contains"},
    "exec": {"command"},
    "load": {"path", "host", "most_bytes"},
}
NEEDED = {"dns": ", qname: a.test", "exec": ", command: [/bin/true]", "https": ", host: a.test"}


def probe(keys: str, server: str = "port: 1") -> str:
    """A probe in line 10, which looks at a server in line 8."""
    return ZONE + f"servers: {{s: {{address: 10.0.0.1, probes: [x], {server}}}}}\nprobes:\n  x: {{{keys}}}\n"


def made(keys: str) -> Probe:
    return read(probe(keys)).probes["x"]


def said(keys: str) -> list[str]:
    return [fault.removeprefix(f"{PLACE}") for fault in faults(probe(keys))]


def warned(keys: str) -> list[str]:
    return [warning.removeprefix(f"{PLACE}") for warning in warnings(probe(keys))[1:]]


class TypeTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """Those of the value, for each type."""
        for name in OWN_KEYS:
            expected = Probe(
                name="x",
                type=ProbeType(name),
                qname="a.test" if name == "dns" else "",
                command=("/bin/true",) if name == "exec" else (),
                host="a.test" if name == "https" else "",
                path="/load" if name == "load" else "",
            )
            self.assertEqual(made(f"type: {name}{NEEDED.get(name, '')}"), expected)

    def test_all_keys(self) -> None:
        common = "interval: 10, fast_interval: 2, idle_interval: 20, timeout: 3, rise: 4, fall: 5, ok: 6, port: 7"
        keys = (
            "path: '/p?q', host: A.test, expect: [204, 300-399], contains: ok, most_bytes: 2K, verify: yes, expiry: 1d"
        )
        self.assertEqual(
            made(f"type: https, {common}, {keys}"),
            Probe(
                name="x",
                type=ProbeType.HTTPS,
                port=7,
                interval=10.0,
                fast_interval=2.0,
                idle_interval=20.0,
                timeout=3.0,
                rise=4,
                fall=5,
                ok=6,
                path="/p?q",
                host="a.test",
                expect=((204, 204), (300, 399)),
                contains="ok",
                most_bytes=2048,
                expiry=86400.0,
            ),
        )
        ftp = made("type: ftp, user: me, path: /a b/c, transfer: true, contains: '220'")
        self.assertEqual((ftp.user, ftp.path, ftp.transfer, ftp.contains), ("me", "/a b/c", True, "220"))
        asked = made("type: dns, qname: WWW.example.test., qtype: aaaa, stream: on")
        self.assertEqual((asked.qname, asked.qtype, asked.stream), ("www.example.test", "AAAA", True))
        self.assertEqual(made("type: dns, qname: ., qtype: TYPE6").qname, ".")

    def test_each_type_has_its_own(self) -> None:
        """A key of other types is an error that names the keys of this one."""
        common = {"type", "port", "interval", "fast_interval", "idle_interval", "timeout", "rise", "fall", "ok"}
        values = {"path": "/p", "host": "h", "expect": "200", "contains": "c", "most_bytes": "1", "verify": "yes", "ca": "x",
                  "expiry": "1", "user": "u", "password": "x", "transfer": "no", "qname": "q", "qtype": "A", "stream": "no",
                  "command": "[/bin/true]"}  # fmt: skip
        for name, own in OWN_KEYS.items():
            known = ", ".join(sorted(own | common))
            for key in values.keys() - own:
                (fault,) = said(f"type: {name}{NEEDED.get(name, '')}, {key}: {values[key]}")
                self.assertEqual(
                    fault, f".{key}: '{key}' has no meaning for a probe of type {name}; its keys are {known}"
                )

    def test_unknown(self) -> None:
        types = "tcp, http, https, ftp, dns, smtp, exec, load"
        self.assertEqual(said("type: htp"), [f".type: found 'htp'; allowed: {types}; did you mean 'http'?"])
        self.assertEqual(
            said("port: 70000"), [": 'type' is required", ".port: found 70000; allowed: an integer from 0 to 65535"]
        )
        self.assertEqual(said("type: http, exspect: 200"), [".exspect: unknown key 'exspect'; did you mean 'expect'?"])
        self.assertEqual(said("type: dns"), [": 'qname' is required"])
        self.assertEqual(said("type: exec"), [": 'command' is required"])

    def test_an_unknown_type_hides_nothing(self) -> None:
        self.assertEqual(
            [fault.split(":")[0] for fault in said("type: htp, qname: '', rise: 0, interval: 5s, zzz: 1")],
            [".qname", ".rise", ".type", ".zzz"],
        )


class ValueTests(SynchronousTestCase):
    def test_wrong(self) -> None:
        codes = "allowed: codes from 100 to 599 such as 200-399 or '200,204,300-399', or a list of them"
        visible = "allowed: a path that begins with '/', of at most 2000 visible ASCII characters without '#'"
        for keys, fault in {
            "tcp, port: 65536": ".port: found 65536; allowed: an integer from 0 to 65535",
            "tcp, interval: 99ms": f".interval: found '99ms'; {DURATION} 0.1s to 86400s",
            "tcp, interval: 86401": f".interval: found 86401; {DURATION} 0.1s to 86400s",
            "tcp, timeout: 0": f".timeout: found 0; {DURATION} 0.01s to 3600s",
            "tcp, rise: 0": ".rise: found 0; allowed: an integer from 1 to 100",
            "tcp, fall: 101": ".fall: found 101; allowed: an integer from 1 to 100",
            "tcp, ok: 0": ".ok: found 0; allowed: an integer from 1 to 100",
            "http, path: healthz": f".path: found 'healthz'; {visible}",
            "http, path: '/a b'": f".path: found '/a b'; {visible}",
            "http, path: '/a#b'": f".path: found '/a#b'; {visible}",
            "http, expect: 99": f".expect: found 99; {codes}, the lower one first",
            "http, expect: 300-200": f".expect: found '300-200'; {codes}, the lower one first",
            "http, expect: '200,'": f".expect: found '200,'; {codes}, the lower one first",
            "http, expect: [200, 600]": f".expect[1]: found 600; {codes}, the lower one first",
            "http, expect: []": f".expect: found an empty list; {codes}",
            "http, expect: {}": f".expect: found a mapping; {codes}, the lower one first",
            "http, contains: ''": ".contains: found nothing; allowed: text",
            "http, host: 'a b'": ".host: 'a b' is no host's name: found label 'a b'; allowed: letters, digits, '_', and '-' inside",
            "http, most_bytes: 65M": ".most_bytes: found '65M'; allowed: bytes, or a number with K, M or G, from 0 to 64M",
            "https, verify: no, expiry: 1": ".expiry: has no meaning with 'verify: false', for no certificate is looked at",
            "ftp, path: x": ".path: needs 'user'; 'anonymous' is one that many servers have",
            "ftp, user: u, transfer: yes": ".transfer: needs 'path', the file that is fetched",
            'ftp, user: "a\\nb"': ".user: found 'a\\nb'; allowed: one line of at most 1000 characters without control characters",
            "dns, qname: a..b": ".qname: 'a..b' is no DNS name: A DNS label is empty.",
            "dns, qname: bü": ".qname: 'bü' is not ASCII; write an international name in its 'xn--' form",
            "dns, qname: a, qtype: AAA": ".qtype: found 'AAA'; allowed: a record type such as A, AAAA or SOA; did you mean 'AAAA'?",
            "exec, command: []": ".command: found an empty list; allowed: at least one entry",
            "exec, command: /bin/true -v": ".command: found '/bin/true -v'; allowed: a list of the program and its arguments; write [/bin/true, -v]",
            "exec, command: [true]": ".command[0]: found true, which YAML reads as a yes/no value; allowed: an absolute path, for no shell looks for it",
            "exec, command: [8]": ".command[0]: found 8; allowed: an absolute path, for no shell looks for it",
            "exec, command: [true.sh]": ".command[0]: found 'true.sh'; allowed: an absolute path, for no shell looks for it",
            "exec, command: [/bin/true, []]": ".command[1]: found a list; allowed: text, '' for an empty argument",
            'exec, command: [/bin/true, "a\\0"]': ".command[1]: found 'a\\x00'; allowed: text that a program can be given",
            f"exec, command: [{', '.join(['/bin/true'] * 65)}]": ".command: found 65 entries; allowed: at most 64",
        }.items():  # fmt: skip
            self.assertEqual(said(f"type: {keys}"), [fault])
        first, _ = said("type: https, verify: no, ca: gone.pem")
        self.assertEqual(first, ".ca: has no meaning with 'verify: false', for no certificate is looked at")
        for odd in ("AXFR", "any", "opt", "TYPE70000", "aä"):
            self.assertIn("allowed: a record type such as", said(f"type: dns, qname: a, qtype: {odd}")[0])

    def test_codes(self) -> None:
        for text, runs in {
            "200": ((200, 200),),
            "'200,204, 300-399'": ((200, 200), (204, 204), (300, 399)),
            "[300-399, 200, '200']": ((200, 200), (300, 399)),
            "100-599": ((100, 599),),
        }.items():
            self.assertEqual(made(f"type: http, expect: {text}").expect, runs)

    def test_arguments(self) -> None:
        """They are given to the program as they are written, whatever YAML takes them for."""
        command = made("type: exec, command: [/bin/true, 08, no, 1.50, '', '{port}', a b]").command
        self.assertEqual(command, ("/bin/true", "08", "no", "1.50", "", "{port}", "a b"))

    def test_intervals_follow(self) -> None:
        for keys, fast, idle in (
            ("interval: 200ms", 0.2, 60.0),
            ("interval: 2m", 1.0, 120.0),
            ("fast_interval: 3", 3.0, 60.0),
        ):
            found = made(f"type: tcp, {keys}")
            self.assertEqual((found.fast_interval, found.idle_interval), (fast, idle))

    def test_odd(self) -> None:
        """Legal, and hardly meant."""
        for keys, warning in {
            "tcp, timeout: 6": ".timeout: timeout 6s is more than interval 5s: one that hangs is asked less often",
            "tcp, interval: 1": ".interval: timeout 2s is more than interval 1s: one that hangs is asked less often",
            "tcp, fast_interval: 6": ".fast_interval: 6s is more than interval 5s: in doubt it is asked less often",
            "tcp, idle_interval: 4": ".idle_interval: 4s is less than interval 5s: when nobody asks it is asked more often",
            "https": ": has no 'host', so that the certificate has to be for the server's address",
        }.items():
            self.assertEqual(warned(f"type: {keys}"), [warning])
        for keys in ("tcp, timeout: 5, fast_interval: 5, idle_interval: 5", "https, verify: no", "https, host: h"):
            self.assertEqual(warned(f"type: {keys}"), [])


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        for name, mode, content in (
            ("good", 0o600, "a word\n"), ("open", 0o644, "word\n"), ("empty", 0o600, ""), ("two", 0o600, "a\nb\n"), ("run", 0o755, "#!x")
        ):  # fmt: skip
            path = os.path.join(self.folder, name)
            with open(path, "w") as file:
                file.write(content)
            os.chmod(path, mode)

    def faults(self, keys: str) -> list[str]:
        return [fault.removeprefix(f"{PLACE}.") for fault in faults(probe(keys), self.folder)]

    def test_password(self) -> None:
        allowed = "allowed: the path of a file, mode 600, with the password in one line"
        for name, fault in {
            "good": None,
            "hunter2": f"found no such file; {allowed}",
            "open": f"{self.folder}/open: others can read it (mode 644); chmod 600 {self.folder}/open; {allowed}",
            "empty": f"'{self.folder}/empty' has no lines; {allowed}",
            "two": f"'{self.folder}/two' has 2 lines; {allowed}",
        }.items():
            self.assertEqual(
                self.faults(f"type: ftp, user: u, password: {name}"), [f"password: {fault}"] if fault else []
            )
        found = read(probe("type: ftp, user: u, password: good"), self.folder).probes["x"].password
        self.assertEqual(found, f"{self.folder}/good")
        self.assertEqual(
            self.faults("type: ftp, password: good"),
            ["password: needs 'user'; 'anonymous' is one that many servers have"],
        )

    def test_certificates(self) -> None:
        allowed = "allowed: a file with certificates in PEM"
        for name, fault in {
            "gone": f"'{self.folder}/gone' is no file; {allowed}",
            "good": f"'{self.folder}/good' has no certificate that can be read; {allowed}",
        }.items():
            self.assertEqual(self.faults(f"type: https, host: h, ca: {name}"), [f"ca: {fault}"])

        bundle = ssl.get_default_verify_paths().cafile
        if bundle:
            self.assertEqual(self.faults(f"type: https, host: h, ca: '{bundle}'"), [])
            self.assertEqual(read(probe(f"type: https, host: h, ca: '{bundle}'")).probes["x"].ca, bundle)

    def test_program(self) -> None:
        for name, fault in {
            "run": None,
            "gone": "which is no file; allowed: a program",
            "good": "which this user may not run; allowed: a program",
        }.items():
            path = os.path.join(self.folder, name)
            (found,) = self.faults(f"type: exec, command: ['{path}', x]") or [""]
            self.assertEqual(found[-len(fault) :] if fault else found, fault or "")


VALUES = ["", "{}", "[]", "[[]]", "no", "-1", "0", "1", "65536", "9" * 400, ".inf", "1e400", "22:22", "2001-01-01", "'\\0'", '"\\0"', "/", "/a",
          "'*'", ".", "a..b", "200-399", "'200,'", "[~]", "[/bin/true]", "[/, ~]", "192.0.2.1", "'::1'", "A", "ANY", "1s", "10d", "9G", "x"]  # fmt: skip


class FuzzTests(SynchronousTestCase):
    @FUZZ
    @given(
        st.sampled_from([*OWN_KEYS, "x", "", "[]"]),
        st.dictionaries(st.sampled_from([*set().union(*OWN_KEYS.values()), "port", "interval", "timeout", "fast_interval", "zzz"]), st.sampled_from(VALUES), max_size=6),
    )  # fmt: skip
    def test_any_keys(self, name: str, keys: dict[str, str]) -> None:
        """Whatever a probe has, it is a value or faults that name the probe."""
        written = "".join(f", {key}: {value}" for key, value in keys.items())
        found = faults(probe(f"type: {name}{written}"))
        for fault in found:
            self.assertIn("probe", fault)
        if not found:
            self.assertIsInstance(made(f"type: {name}{written}"), Probe)
