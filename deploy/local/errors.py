"""What can go wrong when a server is to run on this machine.

LocalServerError
├── Unavailable   the server cannot be had here: a program, a platform or a download is missing
└── StartFailed   it was started and did not become ready
"""


class LocalServerError(Exception):
    """A server on this machine is not what was asked for."""


class Unavailable(LocalServerError):
    """The server cannot be had on this machine; the message says what is missing and how to get it."""


class StartFailed(LocalServerError):
    """The server ended or stayed silent while it was awaited; the message carries the end of its log."""
