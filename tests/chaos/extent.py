"""How much of the chaos tests is run: a short selection, or with CDC_TEST_CHAOS=full (`make chaos`) all of them."""

import os

FULL = os.environ.get("CDC_TEST_CHAOS") == "full"
