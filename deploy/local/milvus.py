"""A real Milvus, standalone, in one process."""

import shutil
from pathlib import Path
from typing import ClassVar

from deploy.local.milvus_config import PORT_NAMES, MilvusOptions, etcd_config, milvus_config, write_yaml
from deploy.local.milvus_wheel import milvus_files
from deploy.local.ports import Ports
from deploy.local.probes import http_get, speaks_tls
from deploy.local.process import Command
from deploy.local.server import Server


class Milvus(Server):
    """A source or, with `options.standby`, a target; storage, queue and perhaps etcd inside its directory.

    It listens on every address of the machine: this Milvus has no setting for that.
    """

    start_timeout: ClassVar[float] = 180.0
    # Seconds. Its orderly end can hang, and it recovers from a kill anyway.
    stop_grace: ClassVar[float] = 5.0
    advice: ClassVar[str] = (
        "If its data comes from another etcd or queue, start with an empty directory and another name; "
        "it wants about 0.6 GB of memory and, run by another user than root, a writable /tmp/milvus."
    )

    def __init__(self, directory: Path, options: MilvusOptions | None = None, port: int | None = None) -> None:
        """Downloads the server the first time; raises Unavailable where that cannot be had."""
        self.options = options or MilvusOptions()
        self._files = milvus_files()
        directory = directory.absolute()
        ports = Ports.of(directory, PORT_NAMES, {"proxy": port})
        super().__init__(f"milvus-{self.options.name}", directory, ports)

    @property
    def address(self) -> str:
        """Of the proxy, as "host:port"."""
        return f"127.0.0.1:{self._ports['proxy']}"

    @property
    def uri(self) -> str:
        """The address as pymilvus takes it."""
        return f"{'https' if self.options.tls else 'http'}://{self.address}"

    @property
    def token(self) -> str:
        """The first user's, as pymilvus takes it; empty without authorization."""
        return "root:Milvus" if self.options.authorization else ""

    @property
    def metrics_port(self) -> int:
        """Of /metrics and /healthz."""
        return self._ports["metrics"]

    @property
    def etcd_endpoint(self) -> str:
        """Of the etcd that holds its metadata, its own or the shared one, as "host:port"."""
        return self.options.etcd or f"127.0.0.1:{self._ports['etcd_client']}"

    @property
    def etcd_root(self) -> str:
        return self.options.name

    @property
    def channel_prefix(self) -> str:
        return self.options.name

    @property
    def rocksmq_path(self) -> Path:
        """RocksMQ's data; its metadata lies beside it with the suffix `_meta_kv`."""
        return self.directory / "rocksmq"

    @property
    def mq_uri(self) -> str:
        """Where its message queue is read, as the setting CDC_SOURCE_MQ has it."""
        if self.options.queue == "rocksmq":
            return f"rocksmq://{self.rocksmq_path}"
        if self.options.queue == "natsmq":
            return f"nats://127.0.0.1:{self._ports['nats']}"
        return f"{self.options.queue}://{self.options.broker}"

    def _prepare(self) -> None:
        configs = self.directory / "configs"
        config = milvus_config(self._files.template, self.options, self._ports, self.directory)
        write_yaml(configs / "milvus.yaml", config)
        write_yaml(configs / "etcd.yaml", etcd_config(self._ports))
        shutil.copyfile(self._files.glog, configs / "glog.conf")
        for name in ("logs", "storage"):
            (self.directory / name).mkdir(exist_ok=True)

    def _command(self) -> Command:
        return Command(
            [str(self._files.program), "run", "standalone"],
            {
                "LD_LIBRARY_PATH": str(self._files.binaries),
                "MILVUSCONF": str(self.directory / "configs"),
                "METRICS_PORT": str(self.metrics_port),
                "DEPLOY_MODE": "STANDALONE",
            },
        )

    def _answers(self) -> bool:
        """Every role says it is healthy, and the proxy takes requests, which can be a moment later."""
        proxy = self._ports["proxy"]
        if http_get(self.metrics_port, "/healthz")[0] != 200:
            return False
        if self.options.tls:  # it has no HTTP there then
            return speaks_tls(proxy)
        return http_get(proxy, "/v1/vector/collections")[0] < 500
