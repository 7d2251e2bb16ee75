import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from service.stop_signals import STOP_SIGNALS, StopSignals, signals_kept


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the test run, afterwards as before."""
    before = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_first_signal_ends_the_start_and_later_ones_change_nothing(signum: signal.Signals) -> None:
    stop = StopSignals()
    stop.listen()

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signum)
    signal.raise_signal(signum)

    stop.wait()


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_signal_ends_the_wait_and_later_ones_change_nothing(signum: signal.Signals) -> None:
    stop = StopSignals()
    stop.listen()
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.1, signal.pthread_kill, (main, signum)).start()

    stop.wait()

    signal.raise_signal(signum)


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_handlers_are_as_before_after_a_block_that_sets_its_own(signum: signal.Signals) -> None:
    taken: list[int] = []
    signal.signal(signum, lambda number, _: taken.append(number))

    with signals_kept():
        signal.signal(signum, signal.SIG_DFL)
    signal.raise_signal(signum)

    assert taken == [signum]


def test_end_of_the_process_by_a_blocks_own_handler_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)

    @signals_kept()
    def start() -> None:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        start()

    assert signal.getsignal(signal.SIGTERM) is before
