"""`python -m deploy.local up | check | fetch`: real servers on this machine by hand."""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from deploy.local.errors import LocalServerError, Unavailable
from deploy.local.etcd import etcd_program
from deploy.local.kafka import kafka_jars, require_kafka
from deploy.local.milvus_wheel import milvus_files, require_milvus
from deploy.local.nats_server import nats_program
from deploy.local.pulsar import pulsar_files, require_pulsar
from deploy.local.redis_server import redis_program
from deploy.local.stack import Stack, StackQueue


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(arguments))
    except LocalServerError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="Real servers on this machine.")
    commands = parser.add_subparsers(required=True, metavar="up | check | fetch")
    up = commands.add_parser("up", help="run a source, a standby, Redis and the broker until Ctrl-C")
    up.add_argument("--directory", type=Path, default=Path(".local"), help="where data and logs are kept (%(default)s)")
    up.add_argument("--embedded-etcd", action="store_true", help="an etcd inside each Milvus, even if there is one")
    up.set_defaults(run=_up)
    check = commands.add_parser("check", help="say which servers can be had here, and why not")
    check.set_defaults(run=_check)
    fetch = commands.add_parser("fetch", help="download what is needed into the cache")
    fetch.set_defaults(run=_fetch)
    for command in (up, fetch):
        command.add_argument("--queue", choices=get_args(StackQueue), default="rocksmq", help="the source's queue")
    return parser


def _up(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    with Stack(arguments.directory, arguments.queue, embedded_etcd=arguments.embedded_etcd) as stack:
        for name, value in stack.environment().items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# source {stack.source.uri}, standby {stack.target.uri}")
        print(f"# data and logs in {arguments.directory.absolute()}; Ctrl-C ends everything", flush=True)
        while True:
            signal.pause()


def _end(*_signal: object) -> None:
    """Leave by the stack's own way out, also from the middle of its start."""
    raise SystemExit(0)


def _fetch(arguments: argparse.Namespace) -> int:
    print(f"milvus: {milvus_files().program}")
    if arguments.queue == "kafka":
        print(f"kafka: {kafka_jars()}")
    if arguments.queue == "pulsar":
        print(f"pulsar: {pulsar_files()}")
    print(f"redis: {redis_program()}")
    return 0


def _check(_arguments: argparse.Namespace) -> int:
    needed = [_say("milvus", require_milvus), _say("redis", redis_program)]
    _say("etcd (optional)", etcd_program)
    _say("kafka (optional)", require_kafka)
    _say("pulsar (optional)", require_pulsar)
    _say("nats (optional, tests only)", nats_program)
    return 0 if all(needed) else 1


def _say(what: str, require: Callable[[], object]) -> bool:
    try:
        require()
    except Unavailable as reason:
        print(f"{what}: no. {reason}")
        return False
    print(f"{what}: yes")
    return True


if __name__ == "__main__":
    sys.exit(main())
