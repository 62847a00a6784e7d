"""The demo, as `make demo` runs it."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from deploy.local.kafka import require_kafka
from deploy.local.milvus_wheel import require_milvus
from deploy.local.redis_server import redis_program
from tests.servers import or_skip

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def demo(**environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name not in ("QUEUE", "KEEP")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("queue", ["rocksmq", "kafka"])
def test_it_ends_with_two_equal_milvus(queue: str) -> None:
    needed = [require_milvus, redis_program, *([require_kafka] if queue == "kafka" else [])]
    or_skip(lambda: nullcontext([require() for require in needed]))

    done = demo(QUEUE=queue)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Equal, row by row." in done.stdout
    assert "mismatches" in done.stdout


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Without a Java on PATH there is no Kafka."""
    needed = [require_milvus]
    or_skip(lambda: nullcontext([require() for require in needed]))

    done = demo(QUEUE="kafka", PATH=str(tmp_path))

    assert done.returncode == 1
    assert "apt install default-jre-headless" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_another_queue_is_refused_with_those_that_exist() -> None:
    done = demo(QUEUE="postcards")

    assert done.returncode == 2
    assert "rocksmq, kafka" in done.stdout
