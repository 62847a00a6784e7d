"""The listeners of a local Kafka at which one must say who one is, or speak TLS."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

KafkaProtocol = Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"]

GUARDED: tuple[KafkaProtocol, ...] = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
"""Each has a listener of its own, of the same name."""

_MECHANISMS = {
    "PLAIN": 'org.apache.kafka.common.security.plain.PlainLoginModule required user_{username}="{password}";',
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
}


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """One user, and the broker's key and certificate in one PEM file; the listener without either stays open."""

    username: str
    password: str = field(repr=False)
    keystore: Path

    def settings(self, listeners: Iterable[KafkaProtocol]) -> dict[str, object]:
        """What server.properties needs beside these listeners themselves."""
        settings: dict[str, object] = {"ssl.keystore.type": "PEM", "ssl.keystore.location": self.keystore}
        for protocol in listeners:
            if protocol.startswith("SASL"):
                settings |= self._sasl(f"listener.name.{protocol.lower()}.")
        return settings

    def scram_user(self) -> list[str]:
        """Arguments of the tool that formats the storage: it holds SCRAM's users."""
        return ["--add-scram", f"SCRAM-SHA-256=[name={self.username},password={self.password}]"]

    def _sasl(self, listener: str) -> dict[str, object]:
        modules = {
            f"{listener}{name.lower()}.sasl.jaas.config": module.format(username=self.username, password=self.password)
            for name, module in _MECHANISMS.items()
        }
        return {f"{listener}sasl.enabled.mechanisms": ",".join(_MECHANISMS), **modules}
