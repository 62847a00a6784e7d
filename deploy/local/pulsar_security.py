"""A local Pulsar that wants to know who one is: by a token, or by a certificate over TLS."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path

_PROVIDER = "org.apache.pulsar.broker.authentication.AuthenticationProvider"
_CLIENT = "org.apache.pulsar.client.impl.auth.AuthenticationToken"
_ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class PulsarSecurity:
    """Files in PEM; `secret` signs tokens, and is written where the broker reads it. Roles begin without any right."""

    server_pem: Path
    server_key: Path
    ca_pem: Path
    secret: bytes = field(repr=False)

    def token(self, role: str = _ADMIN) -> str:
        """A JSON web token (HS256) for that role; the first one may do everything."""
        head = b".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"sub": role}))
        return (head + b"." + _base64(hmac.new(self.secret, head, hashlib.sha256).digest())).decode()

    def settings(self, tls_port: int, directory: Path) -> dict[str, object]:
        """For standalone.conf; the secret is written below `directory`."""
        key = directory / "token.key"
        key.write_bytes(self.secret)
        return {
            "brokerServicePortTls": tls_port,
            "tlsCertificateFilePath": self.server_pem,
            "tlsKeyFilePath": self.server_key,
            "tlsTrustCertsFilePath": self.ca_pem,
            "authenticationEnabled": "true",
            "authenticationProviders": f"{_PROVIDER}Token,{_PROVIDER}Tls",
            "tokenSecretKey": f"file://{key}",
            "brokerClientAuthenticationPlugin": _CLIENT,
            "brokerClientAuthenticationParameters": f"token:{self.token()}",
            "authorizationEnabled": "true",
            "superUserRoles": _ADMIN,
        }

    @property
    def headers(self) -> dict[str, str]:
        """Of calls to the admin API."""
        return {"Authorization": f"Bearer {self.token()}"}


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
