"""Checks of servers that others wrote: nginx, Knot DNS, NSD, Twisted's FTP and SMTP servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.mail.smtp import SMTPFactory
from twisted.trial.unittest import SkipTest

from appliance.model.health import Cause, Layer, ProbeType, Result
from tests.integration.peers import Knot, Nsd, Peer, records
from tests.integration.probing import ProbingCase
from tests.integration.process import ROOT, free_port, tool, until
from tests.integration.sockets import in_thread
from tests.probe.certificates import DAY, Authority

NGINX = """
worker_processes 1; daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:{port}; root {folder}/pages;
        location = /elsewhere {{ return 302 /elsewhere; }}
        location = /broken {{ return 503; }}
        location = /chunked {{ gzip on; gzip_types *; gzip_min_length 1; ssi on; ssi_types *; }}
    }}
    {servers}
}}
"""
TLS = (
    "server {{ listen {address}:{port} ssl; ssl_certificate {file}; ssl_certificate_key {file}; root {folder}/pages; }}"
)


def accepts(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False


class PeerCase(ProbingCase):
    def setUp(self) -> None:
        super().setUp()
        # A short path: servers have sockets in it, whose names the kernel bounds.
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)

    async def process(self, port: int, *words: str, folder: Path | None = None) -> None:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=folder)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        await in_thread(until, lambda: accepts(self.address, port), f"{words[0]} listens")

    def found(self, result: Result) -> tuple[Layer, Cause, str]:
        return result.layer, result.cause, result.detail


class NginxTests(PeerCase):
    async def serve(self, *certificates: Path) -> list[int]:
        """:return: ports: of plain HTTP, and of each certificate."""
        nginx = tool("nginx", "nginx-light")
        pages = self.folder / "pages"
        pages.mkdir()
        (pages / "index.html").write_text("all is well")
        (pages / "chunked").write_text("all is well, too")
        (pages / "large").write_bytes(b"x" * 2_000_000)
        ports = [free_port(self.address) for _ in (None, *certificates)]
        servers = "\n".join(
            TLS.format(address=self.address, port=port, file=file, folder=self.folder)
            for port, file in zip(ports[1:], certificates, strict=True)
        )
        text = NGINX.format(folder=self.folder, address=self.address, port=ports[0], servers=servers)
        (self.folder / "nginx.conf").write_text(f"user root;\n{text}")
        await self.process(ports[0], nginx, "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder))
        return ports

    async def test_pages(self) -> None:
        (port,) = await self.serve()
        for more, layer, cause, detail in (
            ({"contains": "is well"}, Layer.APPLICATION, Cause.OK, "200 OK"),
            ({"path": "/chunked", "contains": "is well, too"}, Layer.APPLICATION, Cause.OK, "200 OK"),
            ({"contains": "x"}, Layer.APPLICATION, Cause.CONTENT, "200 OK, without what it has to contain"),
            ({"path": "/large"}, Layer.APPLICATION, Cause.TOO_LONG, f"more than {1 << 20} bytes"),
            ({"path": "/large", "most_bytes": 2_000_000}, Layer.APPLICATION, Cause.OK, "200 OK"),
            ({"path": "/missing"}, Layer.APPLICATION, Cause.STATUS, "404 Not Found"),
            ({"path": "/broken"}, Layer.APPLICATION, Cause.STATUS, "503 Service Temporarily Unavailable"),
            ({"path": "/elsewhere"}, Layer.APPLICATION, Cause.OK, "302 Moved Temporarily"),
        ):
            keys: dict[str, Any] = more
            self.assertEqual(self.found(await self.ask(ProbeType.HTTP, port, **keys)), (layer, cause, detail))

        def log() -> list[str]:
            return (self.folder / "access.log").read_text().splitlines()

        await in_thread(until, lambda: len(log()) == 8, "nginx has written of all")
        self.assertIn('"appliance"', log()[0])

    async def test_certificates(self) -> None:
        authority, stranger = Authority(self.folder), Authority(self.folder, "stranger")
        name = "www.example.test"
        ports = await self.serve(
            authority.issue(name),
            authority.issue(name, -10, -2),
            authority.issue("other.example.test"),
            stranger.issue(name),
            authority.issue(self.address),
        )
        found = []
        for port in ports[1:5]:
            result = await self.ask(ProbeType.HTTPS, port, host=name, ca=str(authority.file))
            found.append(f"{result.layer.value} {result.cause.value} {result.detail.partition(' on ')[0]}")
        self.assertEqual(
            found,
            [
                "application ok 200 OK",
                "tls certificate expired",
                "tls certificate is for other.example.test, not www.example.test",
                "tls certificate issuer not trusted: stranger",
            ],
        )
        ca = str(authority.file)
        self.assertTrue((await self.ask(ProbeType.HTTPS, ports[5], ca=ca)).ok)
        soon = await self.ask(ProbeType.HTTPS, ports[1], host=name, ca=ca, expiry=40 * DAY)
        self.assertIs(soon.cause, Cause.CERTIFICATE)
        self.assertTrue((await self.ask(ProbeType.HTTPS, ports[2], host=name, verify=False)).ok)
        untrusted = await self.ask(ProbeType.HTTPS, ports[1], host=name)
        self.assertEqual(self.found(untrusted), (Layer.TLS, Cause.CERTIFICATE, "issuer not trusted: test authority"))
        self.assertIs((await self.ask(ProbeType.HTTPS, ports[0], ca=ca)).layer, Layer.TLS)


class FtpTests(PeerCase):
    async def test_a_file_server(self) -> None:
        port = free_port(self.address)
        (self.folder / "file").write_bytes(b"x" * 300_000)
        words = (sys.executable, "-m", "tests.integration.ftpd", self.address, str(port), "40000-40010")
        await self.process(port, *words, str(self.folder), folder=ROOT)
        size: dict[str, Any] = {"user": "anonymous", "path": "file"}
        whole = {**size, "transfer": True}
        for more, cause, start in (
            ({}, Cause.OK, "220 "),
            ({"user": "anonymous"}, Cause.OK, "230 "),
            ({"user": "nobody"}, Cause.STATUS, "530 "),
            (size, Cause.OK, "213 300000 bytes"),
            ({**size, "path": "missing"}, Cause.STATUS, "550 "),
            (whole, Cause.OK, "300000 bytes; 226 "),
            ({**whole, "path": "missing"}, Cause.STATUS, "550 "),
            ({**whole, "most_bytes": 299_999}, Cause.TOO_LONG, "more than 299999 bytes"),
        ):
            result = await self.ask(ProbeType.FTP, port, **more)
            self.assertEqual((result.cause, result.detail[: len(start)]), (cause, start), (more, str(result)))
            self.assertEqual(self.prober.checking, 0)

    async def test_vsftpd(self) -> None:
        """Whose root is never its own process: who logs in is somebody else, in a folder that he cannot write to."""
        path = tool("vsftpd", "vsftpd")
        if os.geteuid():
            raise SkipTest("vsftpd has to be started by root")
        port = free_port(self.address)
        share, empty = self.folder / "share", self.folder / "empty"
        for place in (share, empty):
            place.mkdir(mode=0o755)
        (share / "file").write_bytes(b"x" * 300_000)
        options = {
            "listen": "YES",
            "listen_address": self.address,
            "listen_port": port,
            "background": "NO",
            "anonymous_enable": "YES",
            "local_enable": "NO",
            "anon_root": share,
            "secure_chroot_dir": empty,
            "seccomp_sandbox": "NO",
            "xferlog_enable": "NO",
        }
        (self.folder / "vsftpd.conf").write_text("".join(f"{name}={value}\n" for name, value in options.items()))
        await self.process(port, path, str(self.folder / "vsftpd.conf"))
        size: dict[str, Any] = {"user": "anonymous", "path": "/file"}
        for more, cause, start in (
            ({}, Cause.OK, "220 "),
            ({"user": "anonymous"}, Cause.OK, "230 "),
            ({"user": "nobody"}, Cause.STATUS, "530 "),
            (size, Cause.OK, "213 300000 bytes"),
            ({**size, "path": "/missing"}, Cause.STATUS, "550 "),
            ({**size, "transfer": True}, Cause.OK, "300000 bytes; 226 "),
        ):
            result = await self.ask(ProbeType.FTP, port, **more)
            self.assertEqual((result.cause, result.detail[: len(start)]), (cause, start), (more, str(result)))


class SmtpTests(PeerCase):
    async def test_a_mail_server(self) -> None:
        port = free_port(self.address)
        listening = global_reactor.listenTCP(port, SMTPFactory(), interface=self.address)
        self.addCleanup(listening.stopListening)
        for host in ("", "probe.example.test"):
            result = await self.ask(ProbeType.SMTP, port, host=host)
            self.assertEqual(result.cause, Cause.OK, str(result))


class DnsTests(PeerCase):
    async def ask_all(self, peer: Peer) -> None:
        self.addCleanup(peer.stop)
        await in_thread(peer.run)
        for stream in (False, True):
            for qname, qtype, layer, cause in (
                ("ns1.a.test", "A", Layer.APPLICATION, Cause.OK),
                ("a.test", "SOA", Layer.APPLICATION, Cause.OK),
                ("ns1.a.test", "AAAA", Layer.APPLICATION, Cause.CONTENT),
                ("missing.a.test", "A", Layer.APPLICATION, Cause.STATUS),
                ("elsewhere.example", "A", Layer.APPLICATION, Cause.STATUS),
            ):
                keys: dict[str, Any] = {"qname": qname, "qtype": qtype, "stream": stream}
                result = await self.ask(ProbeType.DNS, peer.port, address=peer.address, **keys)
                self.assertEqual((result.layer, result.cause), (layer, cause), f"{qname} {qtype}: {result}")

    async def test_knot(self) -> None:
        peer = Knot(self.folder / "knot", "127.0.0.1:53", {"a.test": "file: a.test.zone"})
        (peer.folder / "a.test.zone").write_text(records("a.test", 1))
        await self.ask_all(peer)

    async def test_nsd(self) -> None:
        peer = Nsd(self.folder / "nsd", {"a.test": []})
        (peer.folder / "a.test.zone").write_text(records("a.test", 1))
        await self.ask_all(peer)
