"""Requests to stop, as signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

import pytest

from unibio.pipeline.stopping import ignore_requests, stop_requests

REQUESTS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2]


@pytest.mark.parametrize("number", REQUESTS)
def test_a_signal_answers_with_yes_and_a_second_interrupt_is_no_question(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in REQUESTS]
    with stop_requests() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), number)
        assert should_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(each) for each in REQUESTS] == before


def test_a_request_may_interrupt_another_anywhere() -> None:
    """A terminal and a parent ask at the same time: a handler that takes a lock would wait for itself."""
    with stop_requests() as should_stop:
        handler: Any = signal.getsignal(signal.SIGTERM)

        def interrupting(frame: FrameType, event: str, argument: object) -> Any:
            handler(signal.SIGTERM, frame)
            return interrupting

        def interrupted() -> None:
            sys.settrace(interrupting)
            handler(signal.SIGTERM, None)
            sys.settrace(None)

        thread = threading.Thread(target=interrupted, daemon=True)
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive(), "a handler waits for the one that it has interrupted"
        assert should_stop()


def test_outside_the_main_thread_nobody_asks() -> None:
    def elsewhere() -> None:
        with stop_requests() as should_stop:
            answers.append(should_stop())

    answers: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [False]
    assert signal.getsignal(signal.SIGTERM) is before


def test_requests_are_ignored_between_jobs_and_heard_during_one() -> None:
    before = {number: signal.getsignal(number) for number in REQUESTS}
    try:
        ignore_requests()
        for number in REQUESTS:
            os.kill(os.getpid(), number)
        with stop_requests() as should_stop:
            assert not should_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_stop()
        for number in REQUESTS:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
