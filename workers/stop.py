"""Whether this process was told to end."""

import threading

STOPPING = threading.Event()
