"""The demo's plot: replicate everything that happens on the source, measure, and compare row by row."""

from pymilvus.exceptions import MilvusException

from deploy.demo.display import Display
from deploy.demo.measure import BACKLOG, SAMPLES, Latency, catch_up, latency
from deploy.demo.result import Result
from deploy.demo.story import DRAFTS, KEPT, Story
from deploy.demo.watch import Watch
from deploy.local.compare import DEFAULT, Comparison, NotEqualError, Side, wait_equal, wait_same_collections
from deploy.local.errors import LocalServerError
from deploy.local.stack import Stack
from deploy.local.system import System

_PATIENCE = 60.0  # seconds the standby may stay behind a source that is at rest


def prove(display: Display, stack: Stack, system: System) -> Result:
    """Raises what keeps it from its end, after saying what the task says of itself."""
    display.step("POST /cdc create: replicate every collection")
    task = system.api.create(milvus_connect_param={"uri": stack.target.uri}, collection_infos=[{"name": "*"}])
    try:
        return _Proof(display, stack, system, task).run()
    except (LocalServerError, AssertionError, MilvusException):
        display.say(f"the task: {system.api.get(task)}")
        raise


class _Proof:
    def __init__(self, display: Display, stack: Stack, system: System, task: str) -> None:
        self._display = display
        self._stack = stack
        self._api = system.api
        self._task = task

    def run(self) -> Result:
        uris = self._stack.source.uri, self._stack.target.uri
        with Side(uris[0]) as source, Side(uris[1], consistency="Eventually") as target:
            story = Story(source.client)
            with Watch(source, target, (*KEPT, DRAFTS), self._api, self._display.show) as watch:
                for title in story.steps():
                    self._display.step(title)
                self._display.step("wait until the standby has it all")
                self._settle()
                self._display.step(f"latency: {SAMPLES} small inserts, each awaited on the standby")
                with watch.paused():
                    soon = latency(story, target)
                self._display.step(f"catch-up: pause the task, insert {BACKLOG:,} rows, resume")
                fast = catch_up(self._api, self._task, story, source, target)
                self._display.step("compare every row of every collection")
                return self._compared(soon, fast)

    def _settle(self) -> None:
        wait_same_collections(self._stack.source.uri, self._stack.target.uri, DEFAULT, timeout=_PATIENCE)
        for name in KEPT:
            wait_equal(self._stack.source.uri, self._stack.target.uri, name, timeout=_PATIENCE)

    def _compared(self, soon: Latency, fast: float) -> Result:
        wait_same_collections(self._stack.source.uri, self._stack.target.uri, DEFAULT, timeout=_PATIENCE)
        return Result([self._last(name) for name in KEPT], soon, fast, self._display.seconds)

    def _last(self, name: str) -> Comparison:
        """Also one that is not equal, if both sides could be read."""
        try:
            return wait_equal(self._stack.source.uri, self._stack.target.uri, name, timeout=_PATIENCE)
        except NotEqualError as error:
            if error.comparison is None:
                raise
            self._display.say(str(error))
            return error.comparison
