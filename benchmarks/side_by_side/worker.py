"""The driver's end of the line protocol: one long-lived process per participant, pinned to the same cores."""

from __future__ import annotations

import json
import os
import pathlib
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any


class WorkerError(RuntimeError):
    """The participant refused a task, answered nonsense or died."""


def request_line(task: str, arguments: dict[str, Any]) -> str:
    """`task<TAB>key=value...`; lists become commas."""
    words = [task]
    for key, value in arguments.items():
        text = (
            ",".join(f"{item:.9f}" if isinstance(item, float) else str(item) for item in value) if isinstance(value, list) else str(value)
        )
        if "\t" in text or "\n" in text:
            raise ValueError(f"{key} holds a tab or a line end: {text!r}")
        words.append(f"{key}={text}")
    return "\t".join(words) + "\n"


class Worker:
    """A process that answers requests; started at the first one."""

    def __init__(
        self,
        command: Sequence[str],
        cores: set[int],
        log: pathlib.Path,
        environment: dict[str, str] | None = None,
        realtime: bool = False,
    ) -> None:
        self._command, self._cores, self._log = list(command), cores, log
        self._environment, self._realtime = environment, realtime
        self._process: subprocess.Popen[str] | None = None

    def _settle(self) -> None:
        """In the new process: its cores, and its turn before everything of ordinary priority."""
        os.sched_setaffinity(0, self._cores)
        if self._realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    def ask(self, task: str, arguments: dict[str, Any], timeout: float = 300) -> dict[str, Any]:
        """Raises WorkerError."""
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=self._environment,
                    preexec_fn=self._settle,
                )
        process = self._process
        assert process.stdin and process.stdout
        try:
            process.stdin.write(request_line(task, arguments))
            process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(f"{self._command[0]} ended; see {self._log}") from None
        ready, _, _ = select.select([process.stdout], [], [], timeout)
        if not ready:
            self.close(kill=True)
            raise WorkerError(f"{task}: no answer within {timeout:.0f} s")
        line = process.stdout.readline()
        if not line:
            raise WorkerError(f"{self._command[0]} ended; see {self._log}")
        try:
            answer = json.loads(line)
        except ValueError:
            raise WorkerError(f"{task}: not a line of JSON: {line[:200]!r}") from None
        if "error" in answer:
            raise WorkerError(f"{task}: {answer['error']}")
        return dict(answer)

    def check(
        self, task: str, arguments: dict[str, Any], folder: pathlib.Path, take: Callable[[Iterator[bytes]], Any], size: int
    ) -> tuple[dict[str, Any], Any]:
        """Runs a task that writes its pictures of `size` bytes each; `take` gets them one by one. Nothing is kept on disk."""
        pipe = folder / f"pictures_{os.getpid()}_{id(self)}"
        os.mkfifo(pipe)
        result: list[Any] = []
        failure: list[BaseException] = []

        def read() -> None:
            try:
                with pipe.open("rb") as stream:
                    result.append(take(iter(lambda: stream.read(size), b"")))
                    while stream.read(1 << 20):
                        pass
            except BaseException as error:
                failure.append(error)

        reader = Thread(target=read)
        reader.start()
        try:
            answer = self.ask(task, {**arguments, "out": str(pipe)})
        except WorkerError:
            with _unblocked(pipe):
                reader.join()
            raise
        finally:
            pipe.unlink()
        reader.join()
        if failure:
            raise WorkerError(f"{task}: its pictures could not be read: {failure[0]}")
        return answer, result[0]

    def close(self, kill: bool = False) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if kill:
            process.kill()
        else:
            assert process.stdin
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _unblocked(pipe: pathlib.Path) -> Iterator[None]:
    """Lets a reader that waits for the first writer of `pipe` go on to its end."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        pass
    yield
