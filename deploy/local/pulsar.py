"""A real Pulsar, standalone: broker, bookie and metadata store in one process."""

import json
import tarfile
from pathlib import Path
from typing import Any, ClassVar

from deploy.local.cache import cached
from deploy.local.maven import Artifact, download, java_program, require_java
from deploy.local.ports import Ports
from deploy.local.probes import http_get, http_json
from deploy.local.process import Command
from deploy.local.pulsar_security import PulsarSecurity
from deploy.local.server import Server

VERSION = "4.0.8"
_CACHED_AS = f"pulsar-{VERSION}"
DISTRIBUTION = Artifact("org.apache.pulsar", "pulsar-server-distribution", VERSION, "bin", "tar.gz")
_PORTS = ("broker", "web", "bookie", "tls")
_MESSAGE_BYTES = 16 << 20  # Milvus sends up to 10 MiB
_DRIVER = "org.apache.pulsar.metadata.bookkeeper.PulsarMetadata{}Driver"
_OPENED = (
    "java.base/java.io",
    "java.base/java.util.zip",
    "java.base/java.nio",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.platform",
    "java.management/sun.management",
    "jdk.management/com.sun.management.internal",
)


def pulsar_files() -> Path:
    """A directory with Pulsar's jars and its stock configuration (245 MB), downloaded once; raises Unavailable."""
    return cached(_CACHED_AS, _build)


def require_pulsar() -> None:
    """Raises Unavailable when this machine cannot run it; downloads nothing."""
    require_java(_CACHED_AS)


def _build(directory: Path) -> None:
    download(directory, [DISTRIBUTION])
    archive = next(directory.glob("*.tar.gz"))
    with tarfile.open(archive) as tar:
        for member in tar:
            place, name = Path(member.name).parent.name, Path(member.name).name
            if place == "lib" or (place, name) == ("conf", "standalone.conf"):
                member.name = name
                tar.extract(member, directory, filter="data")
    archive.unlink()


class Pulsar(Server):
    """One Pulsar that keeps everything, whether anybody subscribes or not.

    With `security` it lets in only whom it knows, and speaks TLS at a port of its own, too.
    """

    start_timeout: ClassVar[float] = 120.0
    advice: ClassVar[str] = "It wants Java 17 and about 0.6 GB of memory; its data cannot move to other ports."

    def __init__(self, directory: Path, port: int | None = None, security: PulsarSecurity | None = None) -> None:
        """Downloads the server the first time; raises Unavailable."""
        self._security = security
        self._java, self._files = java_program(), pulsar_files()
        directory = directory.absolute()
        super().__init__("pulsar", directory, Ports.of(directory, _PORTS, {"broker": port}))

    @property
    def address(self) -> str:
        """For clients, as "host:port"."""
        return f"127.0.0.1:{self._ports['broker']}"

    @property
    def tls_address(self) -> str:
        """The same over TLS, with `security`."""
        return f"127.0.0.1:{self._ports['tls']}"

    @property
    def web_port(self) -> int:
        """Of its admin API."""
        return self._ports["web"]

    def admin(self, method: str, path: str, content: object = None) -> Any:
        """A call of its admin API under /admin/v2, and the answer, if there is one; raises OSError or HTTPException."""
        status, body = http_json(self.web_port, method, f"/admin/v2/{path}", content, self._headers)
        if status >= 300:
            raise OSError(f"Pulsar refuses {method} {path}: {status} {body!r}")
        return json.loads(body) if body else None

    @property
    def _headers(self) -> dict[str, str]:
        return self._security.headers if self._security else {}

    @property
    def _conf(self) -> Path:
        return self.directory / "standalone.conf"

    def _settings(self) -> dict[str, object]:
        return {
            "bindAddress": "127.0.0.1",
            "advertisedAddress": "127.0.0.1",
            "listeningInterface": "lo",
            "allowLoopback": "true",
            "allowEphemeralPorts": "true",  # else the bookie takes a random port at its first start, and keeps it
            "brokerServicePort": self._ports["broker"],
            "webServicePort": self._ports["web"],
            "maxMessageSize": _MESSAGE_BYTES,
            "nettyMaxFrameSizeBytes": _MESSAGE_BYTES + (1 << 20),
            # The stock file deletes idle topics and messages nobody subscribes to; we read without a subscription.
            "brokerDeleteInactiveTopicsEnabled": "false",
            "defaultRetentionTimeInMinutes": -1,
            "defaultRetentionSizeInMB": -1,
            "backlogQuotaDefaultLimitGB": -1,
            **(self._security.settings(self._ports["tls"], self.directory) if self._security else {}),
        }

    def _prepare(self) -> None:
        settings = "".join(f"{name}={value}\n" for name, value in self._settings().items())
        # Of a name that is there twice the last one counts.
        self._conf.write_text((self._files / "standalone.conf").read_text() + "\n" + settings)

    def _command(self) -> Command:
        arguments = {
            "--config": self._conf,
            "--num-bookies": 1,
            "--bookkeeper-port": self._ports["bookie"],
            "--bookkeeper-dir": self.directory / "bookkeeper",
            "--metadata-dir": self.directory / "metadata",
            "--advertised-address": "127.0.0.1",
        }
        flat = [str(part) for pair in arguments.items() for part in pair]
        starter = ["org.apache.pulsar.PulsarStandaloneStarter", "--no-functions-worker", "--no-stream-storage"]
        return Command([*self._jvm(), *starter, *flat])

    def _jvm(self) -> list[str]:
        properties = {
            "java.net.preferIPv4Stack": "true",
            "io.netty.tryReflectionSetAccessible": "true",
            "org.apache.pulsar.shade.io.netty.tryReflectionSetAccessible": "true",
            "bookkeeper.metadata.bookie.drivers": _DRIVER.format("Bookie"),
            "bookkeeper.metadata.client.drivers": _DRIVER.format("Client"),
            "pulsar.config.file": self._conf,
        }
        return [
            self._java,
            "-Xmx512m",
            "-XX:MaxDirectMemorySize=512m",
            *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp",
            f"{self._files}/*",
        ]

    def _answers(self) -> bool:
        """Its own namespace exists: made last, and Milvus wants it."""
        status, body = http_get(self.web_port, "/admin/v2/namespaces/public", self._headers)
        return status == 200 and b"public/default" in body
