"""Commands and steps on the engine's thread."""

import threading
from collections.abc import Callable, Iterator

import pytest

from service.errors import EngineUnavailable
from service.llm.engine_thread import Command, EngineThread

TIMEOUT_S = 10.0


class Counting:
    """Work that is counted down, and may fail."""

    def __init__(self) -> None:
        self.num_left = 0
        self.order: list[str] = []
        self.stopped: list[EngineUnavailable] = []
        self.is_resting = threading.Event()
        self.is_stopped = threading.Event()

    @property
    def has_work(self) -> bool:
        return self.num_left != 0

    def step(self) -> None:
        self.order.append("step")
        self.num_left -= 1
        if self.num_left < 0:
            raise ZeroDivisionError

    def rest(self) -> None:
        self.is_resting.set()

    def stop(self, error: EngineUnavailable) -> None:
        self.stopped.append(error)
        self.is_stopped.set()


@pytest.fixture
def work() -> Counting:
    return Counting()


@pytest.fixture
def thread(work: Counting) -> Iterator[EngineThread]:
    thread = EngineThread(work)
    yield thread
    thread.stop()


def command(run: Callable[[], None], errors: list[Exception] | None = None) -> Command:
    return Command(run, [].append if errors is None else errors.append)


def wait(thread: EngineThread) -> None:
    """Until all commands so far have run."""
    done = threading.Event()
    thread.post(command(done.set))
    assert done.wait(TIMEOUT_S)


def test_commands_run_in_order_and_before_further_steps(
    thread: EngineThread, work: Counting
) -> None:
    def begin() -> None:
        work.num_left = 3
        work.order.append("begin")
        thread.post(command(lambda: work.order.append("more")))

    thread.post(command(begin))
    while work.order.count("step") < 3:
        wait(thread)

    assert work.order[:3] == ["begin", "more", "step"]


def test_command_that_raises_fails_alone(thread: EngineThread) -> None:
    errors: list[Exception] = []

    thread.post(command(lambda: 1 // 0, errors))  # type: ignore[arg-type]  # its value is ignored
    wait(thread)

    assert [type(error) for error in errors] == [ZeroDivisionError]
    thread.check()


def test_thread_rests_when_nothing_is_left_to_do(thread: EngineThread, work: Counting) -> None:
    wait(thread)
    work.is_resting.clear()

    thread.post(command(lambda: setattr(work, "num_left", 2)))

    assert work.is_resting.wait(TIMEOUT_S)
    assert work.num_left == 0


def test_stopping_runs_what_was_posted_and_fails_what_comes_later(
    thread: EngineThread, work: Counting
) -> None:
    ran: list[int] = []
    errors: list[Exception] = []
    thread.post(command(lambda: ran.append(1)))

    thread.stop()
    thread.post(command(lambda: ran.append(2), errors))

    assert ran == [1]
    assert [str(error) for error in errors] == [str(error) for error in work.stopped]
    assert "the engine was stopped" in str(errors[0])
    with pytest.raises(EngineUnavailable):
        thread.check()


def test_failing_step_stops_the_thread_and_tells_everyone(
    thread: EngineThread, work: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    thread.post(command(lambda: setattr(work, "num_left", -1)))
    assert work.is_stopped.wait(TIMEOUT_S)
    thread.post(command(lambda: None, errors))

    assert "the engine failed" in str(work.stopped[0])
    assert [str(error) for error in errors] == [str(work.stopped[0])]
    assert "ZeroDivisionError" in caplog.text
