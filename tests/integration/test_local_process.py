"""What every local server has in common: ports that stay, an end with its parent, failures that explain themselves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from deploy.local import Redis, StartFailed, Unavailable
from deploy.local.process import Command, environment_of
from tests.servers import or_skip

pytestmark = pytest.mark.integration


class MistakenRedis(Redis):
    """A Redis with a setting that Redis does not know."""

    def _command(self) -> Command:
        return Command([*super()._command().arguments, "--no-such-setting", "1"])


def test_a_failed_start_shows_the_log_and_what_to_do(tmp_path: Path) -> None:
    server = or_skip(lambda: MistakenRedis(tmp_path))

    with pytest.raises(StartFailed, match=r"(?s)redis ended before it was ready.*no-such-setting"), server:
        pass

    assert not server.alive
    with Redis(tmp_path) as mended:
        assert mended.port == server.port


def test_a_server_that_stays_silent_is_reported_at_the_deadline(tmp_path: Path) -> None:
    with or_skip(lambda: Redis(tmp_path)) as server:
        server.suspend()

        with pytest.raises(StartFailed, match="is not ready after 0 s"):
            server.wait_ready(timeout=0)

        server.resume_process()
        server.wait_ready()


def test_a_suspended_server_can_be_stopped(tmp_path: Path) -> None:
    with or_skip(lambda: Redis(tmp_path)) as server:
        server.suspend()
        server.stop()

        assert not server.alive


def test_a_directory_keeps_its_ports(tmp_path: Path) -> None:
    with or_skip(lambda: Redis(tmp_path)) as server:
        port = server.port

    with Redis(tmp_path) as again:
        assert again.port == port


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with or_skip(lambda: Redis(tmp_path)), pytest.raises(Unavailable, match="another running process"):
        Redis(tmp_path)


def test_a_server_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The thread that started the server has ended by then, as in a pool: only the process's end may count."""
    script = (
        "import signal, sys, threading\n"
        "from pathlib import Path\n"
        "from deploy.local import Redis\n"
        "server = Redis(Path(sys.argv[1]))\n"
        "starter = threading.Thread(target=server.start)\n"
        "starter.start(), starter.join()\n"
        "print(server.wait_ready().pid, flush=True)\n"
        "signal.pause()\n"
    )
    or_skip(lambda: Redis(tmp_path)).release_ports()
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _runs(child)

        parent.send_signal(signal.SIGKILL)

    assert not Retrying(retry=retry_if_result(bool), stop=stop_after_delay(5), wait=wait_fixed(0.05))(_runs, child)


def test_a_server_inherits_no_settings_from_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BROKERLIST", "elsewhere:9092")

    assert "KAFKA_BROKERLIST" not in environment_of(Command(["milvus"]))


def _runs(pid: int) -> bool:
    """A zombie has ended too: who adopts it decides when it is gone."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
