"""Settings: where they come from, and what is said of wrong ones."""

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from cdc_core.settings import Settings, SettingsError

pytestmark = pytest.mark.unit

REFERENCE = """\
address: 0.0.0.0:8445
maxTaskNum: 7
metaStoreConfig:
  storeType: etcd
  etcd:
    address: ["http://127.0.0.1:2379"]
  rootPath: cdc
sourceConfig:
  replicateChan: in01-replicate-msg
  etcd:
    address:
      - http://10.0.0.1:2379
      - 10.0.0.2:2379
    rootPath: in01
    metaSubPath: meta2
    enableAuth: true
    username: root
    password: 123456
    enableTLS: false
    tlsCertPath: deployment/cert/client.pem
    tlsKeyPath: deployment/cert/client.key
    tlsCACertPath: deployment/cert/ca.pem
  readChanLen: 10
  channelNum: 16
  timeTickInterval: 500
  defaultPartitionName: _first
  kafka:
    address: 10.0.0.3:9092
    enableSASL: true
    SASL:
      username: u
      password: p
      mechanisms: SCRAM-SHA-256
      securityProtocol: SASL_SSL
maxNameLength: 200
logLevel: warn
"""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("CDC_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"CDC_{name}", value)
    return Settings.load()


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **environment)
    return caught.value.problems


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, SOURCE_MQ="kafka://127.0.0.1:9092")
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8444)
    assert settings.source_etcd_endpoints == ("127.0.0.1:2379",)
    assert settings.source_etcd_root == settings.source_channel_prefix == "by-dev"
    assert (settings.max_tasks, settings.max_name_length, settings.keepalive) == (100, 256, True)
    assert settings.ignored == ()


def test_the_environment_wins_over_the_env_file_and_that_over_the_references_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cdc.yaml").write_text(REFERENCE)
    (tmp_path / ".env").write_text("CDC_CONFIG=cdc.yaml\nCDC_MAX_TASKS=8\nCDC_SOURCE_ETCD_ROOT=in02\n")
    settings = load(monkeypatch, MAX_TASKS="9")
    assert (settings.max_tasks, settings.source_etcd_root, settings.max_name_length) == (9, "in02", 200)


def test_the_references_file_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cdc.yaml").write_text(REFERENCE)
    settings = load(monkeypatch, CONFIG=str(tmp_path / "cdc.yaml"), TYPO="1")
    assert settings.http_address == "0.0.0.0:8445"
    assert settings.source_channel_prefix == "in01"
    assert settings.source_etcd_endpoints == ("10.0.0.1:2379", "10.0.0.2:2379")
    assert (settings.source_etcd_root, settings.source_meta_subpath) == ("in01", "meta2")
    assert settings.source_etcd_username == "root"
    assert settings.source_etcd_password.get_secret_value() == "123456"
    assert settings.source_etcd_cert is None, "TLS is switched off"
    assert settings.source_mq == "kafka://10.0.0.3:9092"
    assert settings.source_mq_options == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-256",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    assert (settings.default_partition_name, settings.log_level) == ("_first", "warn")
    assert settings.ignored == (
        "CDC_TYPO",
        "metaStoreConfig.etcd.address",
        "metaStoreConfig.rootPath",
        "metaStoreConfig.storeType",
        "sourceConfig.channelNum",
        "sourceConfig.readChanLen",
        "sourceConfig.timeTickInterval",
    )


def test_what_is_wrong_in_the_references_file_is_named_as_it_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cdc.yaml"
    file.write_text(
        "maxTaskNum: many\nlogLevel: loud\nsourceConfig:\n  replicateChan: x\n"
        "  kafka: {address: 'k:1'}\n  pulsar: {address: 'pulsar://p:1'}\n"
    )
    assert problems(monkeypatch, CONFIG=str(file), HTTP_ADDRESS="x") == [
        "CDC_HTTP_ADDRESS: expected host:port, e.g. 127.0.0.1:8444",
        "CDC_SOURCE_CHANNEL_PREFIX: sourceConfig.replicateChan: expected <channel prefix>-replicate-msg",
        (
            "CDC_SOURCE_MQ: sourceConfig.pulsar.address and sourceConfig.kafka.address: "
            "expected one of them: the queue of the source"
        ),
        "CDC_MAX_TASKS: maxTaskNum: expected a valid integer, unable to parse string as an integer",
        "CDC_LOG_LEVEL: logLevel: expected 'debug', 'info', 'warn' or 'error'",
    ]
    settings = load(
        monkeypatch,
        HTTP_ADDRESS="h:1",
        SOURCE_CHANNEL_PREFIX="x",
        SOURCE_MQ="nats://h:1",
        MAX_TASKS="1",
        LOG_LEVEL="info",
    )
    assert settings.source_mq == "nats://h:1", "the environment wins over what is wrong in the file"


def test_the_references_pulsar_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Given its section `pulsar`, then queue, place and credentials are known; the rest is told as ignored."""
    (tmp_path / "cdc.yaml").write_text(
        "sourceConfig:\n  pulsar:\n    address: pulsar+ssl://p:6651\n    webAddress: p:80\n"
        "    maxMessageSize: 5242880\n    tenant: t\n    namespace: n\n"
        "    authPlugin: org.apache.pulsar.client.impl.auth.AuthenticationToken\n    authParams: token:hunter2\n"
    )
    settings = load(monkeypatch, CONFIG="cdc.yaml")
    assert settings.source_mq == "pulsar+ssl://p:6651"
    assert settings.source_mq_options == {
        "tenant": "t",
        "namespace": "n",
        "auth_plugin": "org.apache.pulsar.client.impl.auth.AuthenticationToken",
        "auth_params": "token:hunter2",
        "ca_cert": "",
    }
    assert settings.ignored == ("sourceConfig.pulsar.maxMessageSize", "sourceConfig.pulsar.webAddress")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("content", ["- a", "a: [", "\x00"])
def test_a_file_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    for path in ("c.yaml", "missing.yaml", "."):
        (problem,) = problems(monkeypatch, CONFIG=path, SOURCE_MQ="nats://h:1")
        assert problem.startswith("CDC_CONFIG: ")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HTTP_ADDRESS", "8444", "expected host:port"),
        ("HTTP_ADDRESS", "h:99999", "expected host:port"),
        ("REDIS_URL", "http://secret@h", "expected redis://"),
        ("BROKER_URL", "secret", "expected redis://"),
        ("SOURCE_ETCD_ENDPOINTS", "h", "expected host:port[,host:port]"),
        ("SOURCE_ETCD_ENDPOINTS", ",", "expected host:port[,host:port]"),
        ("SOURCE_ETCD_ROOT", "/a/", "expected a name"),
        ("SOURCE_ETCD_CA_CERT", "/nowhere/ca.pem", "does not exist on this host"),
        ("SOURCE_MQ", "kafka://h", "expected kafka://host:port"),
        ("SOURCE_MQ", "rocksmq://relative", "the directory of RocksMQ is absolute"),
        ("SOURCE_MQ", "kafka://h:1,http://h:2", "expected kafka://host:port"),
        ("SOURCE_MQ", "nats://h h:1", "expected kafka://host:port"),
        ("SOURCE_MQ", "kafka://u:secret@h:1", "use CDC_SOURCE_KAFKA_USERNAME and CDC_SOURCE_KAFKA_PASSWORD"),
        ("SOURCE_MQ", "kafka://h:1,u:secret@h:1", "use CDC_SOURCE_KAFKA_USERNAME and CDC_SOURCE_KAFKA_PASSWORD"),
        ("SOURCE_MQ", "pulsar://secret@h:1", "use CDC_SOURCE_PULSAR_AUTH_PLUGIN and CDC_SOURCE_PULSAR_AUTH_PARAMS"),
        ("SOURCE_MQ", "pulsar+ssl://secret@h:1", "credentials do not belong into it"),
        ("SOURCE_MQ", "nats://u:secret@h:1", "credentials do not belong into it; Milvus' natsmq asks for none"),
        ("WORKER_SLOTS", "0", "expected greater than or equal to 1"),
        ("UNCLEAR_SECONDS", "inf", "expected a finite number"),
        ("UNCLEAR_SECONDS", "nan", "expected a finite number"),
        ("UNCLEAR_SECONDS", "3601", "expected less than or equal to 3600"),
        ("MAX_TASKS", "10001", "expected less than or equal to 10000"),
        ("KEEPALIVE", "maybe", "expected a valid boolean"),
        ("SECRET_KEY", "secret", "expected 32 bytes in URL-safe base64"),
        ("LOG_LEVEL", "loud", "expected 'debug', 'info', 'warn' or 'error'"),
        ("LOG_FORMAT", "xml", "expected 'json' or 'console'"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    (problem,) = problems(monkeypatch, **{"SOURCE_MQ": "nats://h:1", name: value})
    assert problem.startswith(f"CDC_{name}: ")
    assert expected in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret#x@h",
        "redis://:secret/x@h",
        "redis://u:1/secret@h",
        "redis://u:1?secret@h",
        "redis://:secret[x@h",
        "redis://u:secret@h\u2100",
        "redis://h:6379/secret",
        "redis://h:6379/-1",
        "redis://h:99999",
        "redis://h:0",
        "redis://h:secret",
        "redis://h h",
        "redis://",
        "redis:/secret",
        "rediss://h?secret=1",
        "rediss://h?ssl_secret=1",
        "foo://secret@h",
        "sentinel://:secret#x@h/0?master=a",
        "sentinel://:secret@h/0?master=a&master=b",
        "sentinel://:secret@h/0?master=",
        "sentinel://:secret@h/0",
        "sentinel://:secret@h,/0?master=a",
        "sentinel://:secret[@h/0?master=a",
        "sentinel://:secret@h/-1?master=a",
        "sentinel://:secret@h/0?master=a#x",
        "sentinel:secret",
    ],
)
@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
def test_a_wrong_url_of_a_redis_is_told_at_the_start_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    (problem,) = problems(monkeypatch, SOURCE_MQ="nats://h:1", **{name: url})
    assert problem.startswith(f"CDC_{name}: expected ")
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("REDIS_URL", "unix:///"),
        ("REDIS_URL", "unix://secret/redis.sock"),
        ("REDIS_URL", "unix:///redis.sock?db=secret"),
        ("REDIS_URL", "redis://h?secret=1"),
        ("REDIS_URL", "rediss://h?ssl_cert_reqs=secret"),
        ("BROKER_URL", "unix:///secret.sock"),
        ("BROKER_URL", "memory://"),
        ("BROKER_URL", "amqp://u:secret@h"),
        ("BROKER_URL", "redis://h?ssl_ca_certs=secret"),
        ("BROKER_URL", "rediss://h?ssl_cert_reqs=secret"),
        ("BROKER_URL", "rediss://h?secret"),
    ],
)
def test_state_and_broker_know_different_urls(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    (problem,) = problems(monkeypatch, SOURCE_MQ="nats://h:1", **{name: url})
    assert problem.startswith(f"CDC_{name}: expected redis://")
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("redis://h", ("REDIS_URL", "BROKER_URL")),
        ("redis://u:p%23%40@[::1]:1/15", ("REDIS_URL", "BROKER_URL")),
        ("rediss://:p@my_redis:1/0?ssl_ca_certs=/ca&ssl_check_hostname=false", ("REDIS_URL", "BROKER_URL")),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", ("BROKER_URL",)),
        ("rediss://h?ssl_cert_reqs=none", ("REDIS_URL", "BROKER_URL")),
        ("sentinel://u:p@[::1]:1,two/4?master=m", ("REDIS_URL", "BROKER_URL")),
        ("unix:///run/redis.sock", ("REDIS_URL",)),
        ("unix://u:p@/run/redis.sock?db=2", ("REDIS_URL",)),
        ("redis://h/1?socket_timeout=3", ("REDIS_URL",)),
    ],
)
def test_urls_of_a_redis(monkeypatch: pytest.MonkeyPatch, url: str, names: tuple[str, ...]) -> None:
    for name in names:
        load(monkeypatch, SOURCE_MQ="nats://h:1", **{name: url})


def test_a_misspelt_name_of_the_env_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CDC_SOURCE_MQ=nats://h:1\nCDC_WORKER_SLOT=5\ncdc_max_tasks=7\nOTHER=1\n")
    settings = load(monkeypatch, TYPO="1")
    assert settings.ignored == ("CDC_TYPO", "CDC_WORKER_SLOT")
    assert settings.max_tasks == 7


def test_certificates_of_etcd_that_no_tls_would_use_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    own = {"SOURCE_ETCD_CERT": str(file), "SOURCE_ETCD_KEY": str(file), "SOURCE_MQ": "nats://h:1"}
    found = problems(monkeypatch, **own)
    assert [problem.partition(":")[0] for problem in found] == ["CDC_SOURCE_ETCD_CERT"]
    assert "expected TLS with it: CDC_SOURCE_ETCD_TLS=true, CDC_SOURCE_ETCD_CA_CERT, or https://" in found[0]
    half = problems(monkeypatch, **own, SOURCE_ETCD_ENDPOINTS="https://a:1,b:1")
    assert half == found, "one of the endpoints is without"
    for tls in (
        {"SOURCE_ETCD_TLS": "true"},
        {"SOURCE_ETCD_CA_CERT": str(file)},
        {"SOURCE_ETCD_ENDPOINTS": "https://a:1,https://b:1"},
    ):
        with monkeypatch.context() as own_environment:
            own_environment.delenv("CDC_SOURCE_ETCD_ENDPOINTS")
            assert load(own_environment, **own, **tls).source_etcd_cert == file


def test_the_authorities_of_a_pulsar_without_tls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems(monkeypatch, SOURCE_MQ="pulsar://h:1", SOURCE_PULSAR_CA_CERT=__file__)
    assert problem == "CDC_SOURCE_PULSAR_CA_CERT: expected CDC_SOURCE_MQ to be pulsar+ssl://host:port with it"
    assert load(monkeypatch, SOURCE_MQ="pulsar+ssl://h:1").source_pulsar_ca_cert == Path(__file__)


def test_all_wrong_ones_at_once_also_the_missing_and_the_half_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, MAX_TASKS="0", SOURCE_ETCD_USERNAME="u", SOURCE_KAFKA_PASSWORD="p")
    assert [problem.partition(":")[0] for problem in found] == [
        "CDC_SOURCE_ETCD_PASSWORD",
        "CDC_SOURCE_MQ",
        "CDC_SOURCE_KAFKA_PASSWORD",
        "CDC_MAX_TASKS",
    ]
    assert "is not set; expected the source's queue" in found[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"PROTOCOL": "SASL_SSL"}, "together with CDC_SOURCE_KAFKA_USERNAME; SSL is TLS without a user"),
        ({"PROTOCOL": "SSL", "USERNAME": "u", "PASSWORD": "p"}, "expected SASL_SSL"),
        ({"PROTOCOL": "TLS"}, "expected 'SASL_PLAINTEXT', 'SASL_SSL' or 'SSL'"),
        ({"MECHANISM": "SCRAM"}, "expected 'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ({"CA_CERT": __file__}, "expected CDC_SOURCE_KAFKA_PROTOCOL to be SASL_SSL or SSL"),
    ],
)
def test_a_kafka_that_would_be_read_in_the_clear_by_an_oversight_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: str
) -> None:
    values = {f"SOURCE_KAFKA_{name}": value for name, value in given.items()}
    (problem,) = problems(monkeypatch, SOURCE_MQ="kafka://h:1", **values)
    assert told in problem


def test_a_kafka_with_tls_and_no_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    settings = load(
        monkeypatch,
        SOURCE_MQ="kafka://h:1",
        SOURCE_KAFKA_PROTOCOL="ssl",
        SOURCE_KAFKA_CA_CERT=str(authority),
    )
    assert settings.source_mq_options == {"security.protocol": "SSL", "ssl.ca.location": str(authority)}


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        SOURCE_MQ="kafka://h:1",
        REDIS_URL="redis://:hunter2@h",
        BROKER_URL="redis://:hunter2@h",
        SOURCE_ETCD_USERNAME="u",
        SOURCE_ETCD_PASSWORD="hunter2",
        SECRET_KEY=Fernet.generate_key().decode(),
    )
    assert "hunter2" not in repr(settings) + str(settings)


@pytest.mark.parametrize(("given", "level"), [("WARNING", "warn"), ("Debug", "debug"), ("", "info")])
def test_spellings_of_a_level(monkeypatch: pytest.MonkeyPatch, given: str, level: str) -> None:
    assert load(monkeypatch, SOURCE_MQ="nats://h:1", LOG_LEVEL=given).log_level == level
