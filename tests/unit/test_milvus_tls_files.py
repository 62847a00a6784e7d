"""The files of a `dial_config`: a client names them, so they are read with care."""

import os
from pathlib import Path

import pytest

from cdc_core.errors import TaskStopped
from cdc_core.model.connect import DialConfig
from cdc_core.sink.milvus_tls import credentials

pytestmark = pytest.mark.unit


def _told(path: Path | str) -> str:
    with pytest.raises(TaskStopped) as caught:
        credentials(DialConfig(server_pem_path=str(path)))
    return str(caught.value)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """A FIFO without a writer would hold who opens it for ever, a device would fill the memory."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero", "/proc/self/environ", tmp_path):
        assert _told(path).endswith("cannot be read on this host: it is no file, or an empty one")
    assert _told(tmp_path / "missing").endswith("cannot be read on this host: No such file or directory")
    assert "cannot be read on this host: " in _told("/ca\0.pem")


def test_a_file_of_any_length_is_not_read_whole(tmp_path: Path) -> None:
    large = tmp_path / "large.pem"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    assert _told(large).endswith("cannot be read on this host: it is larger than 1 MiB")
