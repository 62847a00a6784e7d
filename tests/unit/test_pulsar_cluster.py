"""Where topics are in Pulsar, and the credentials as Milvus has them."""

from pathlib import Path

import pytest

from cdc_core.source.pulsar_cluster import PulsarAuth, PulsarCluster

pytestmark = pytest.mark.unit

JAVA = "org.apache.pulsar.client.impl.auth.Authentication"


def test_a_cluster_has_hosts_and_a_namespace() -> None:
    cluster = PulsarCluster.of(
        "pulsar+ssl://a:6651,[::1]:6652/", {"tenant": "t", "namespace": "", "ca_cert": "/ca.pem"}
    )
    assert cluster.tls
    assert cluster.hosts == [("a", 6651), ("::1", 6652)]
    assert cluster.topic("by-dev-rootcoord-dml_0") == "persistent://t/default/by-dev-rootcoord-dml_0"
    assert cluster.ca_cert == "/ca.pem"
    assert not PulsarCluster("pulsar://a:6650").tls


@pytest.mark.parametrize("plugin", ["token", f"{JAVA}Token"])
@pytest.mark.parametrize("params", ["token:hunter2", '{"token": "hunter2"}'])
def test_a_token_is_given_as_it_is(plugin: str, params: str) -> None:
    auth = PulsarAuth(plugin, params)
    assert (auth.kind, auth.token()) == ("token", "hunter2")
    assert "hunter2" not in repr(auth)


@pytest.mark.parametrize("prefix", ["file:", "file://"])
def test_a_token_in_a_file_is_read_each_time(tmp_path: Path, prefix: str) -> None:
    file = tmp_path / "token"
    auth = PulsarAuth("token", f"{prefix}{file}")
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert auth.token() == token


def test_users_and_certificates() -> None:
    assert PulsarAuth("basic", "username:u,password:p").user == ("u", "p")
    assert PulsarAuth(f"{JAVA}Basic", '{"userId": "u", "password": "a:b,c"}').user == ("u", "a:b,c")
    assert PulsarAuth(f"{JAVA}Tls", "tlsCertFile:/c.pem,tlsKeyFile:/k.pem").cert_and_key == ("/c.pem", "/k.pem")


@pytest.mark.parametrize(
    ("plugin", "params", "expected"),
    [
        (f"{JAVA}Athenz", "x:y", "expected token, basic, tls"),
        ("token", "", "lack token"),
        ("basic", "username:u", "lack password"),
        ("tls", "tlsCertFile:/c", "lack tlsKeyFile"),
    ],
)
def test_wrong_credentials_are_refused_at_once(plugin: str, params: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        PulsarAuth(plugin, params)
