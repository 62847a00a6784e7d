"""`python -m deploy.demo`: a real Milvus replicated to a real standby, on this machine, from nothing to the proof.

Environment: QUEUE=rocksmq (default, needs only what pip installs), kafka or pulsar (need Java, the first time Maven);
KEEP=1 leaves everything running until Ctrl-C.
"""

import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import cast

from pymilvus.exceptions import MilvusException
from rich.console import Console

from deploy.demo.display import Display
from deploy.demo.proof import prove
from deploy.local import LocalServerError, Stack
from deploy.local.stack import StackQueue
from deploy.local.system import ROOT, System

QUEUES = ("rocksmq", "kafka", "pulsar")


def main() -> int:
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what the demo awaits: "not loaded yet"
    console, queue = Console(), os.environ.get("QUEUE") or "rocksmq"
    if queue not in QUEUES:
        console.print(f"QUEUE={queue}: expected one of {', '.join(QUEUES)}")
        return 2
    directory = ROOT / ".local" / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    equal = False
    try:
        equal = _run(console, directory, cast("StackQueue", queue))
    except (LocalServerError, MilvusException, AssertionError, OSError) as error:
        console.print(f"[red]The demo failed.[/] {type(error).__name__}: {error}", highlight=False, soft_wrap=True)
    finally:
        _tidy(console, directory, equal)
    return 0 if equal else 1


def _run(console: Console, directory: Path, queue: StackQueue) -> bool:
    with Display(console) as display:
        display.step(f"download what is missing; start a source on {queue}, a standby and Redis")
        with Stack(directory, queue) as stack:
            display.step("start the API, two workers and Flower")
            with System(directory, stack.environment(), workers=2, flower=True) as system:
                display.say(f"source {stack.source.uri}, standby {stack.target.uri}, {_addresses(system)}")
                result = prove(display, stack, system)
                display.close()
                console.print(result.table())
                console.print(_addresses(system), highlight=False)
                console.print(result.verdict(), highlight=False)
                if os.environ.get("KEEP"):
                    console.print(f"Everything stays up until Ctrl-C; logs and data are in {directory}", soft_wrap=True)
                    _await_end()
                display.step("stop everything")
    return result.equal


def _await_end() -> None:
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.sigwait(signals)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _addresses(system: System) -> str:
    return f"API {system.api.url}, Flower {system.flower.url if system.flower else 'none'}"


def _tidy(console: Console, directory: Path, equal: bool) -> None:
    """Logs are wanted only when something went wrong."""
    if equal:
        shutil.rmtree(directory, ignore_errors=True)
    elif directory.exists():
        console.print(f"Logs and data are kept in {directory}", highlight=False, soft_wrap=True)


def _end(*_signal: object) -> None:
    """Leave by the way out of everything that was started, also from the middle of its start."""
    raise SystemExit(130)


if __name__ == "__main__":
    sys.exit(main())
