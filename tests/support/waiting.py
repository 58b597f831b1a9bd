"""Polling with a deadline: tests never sleep for a fixed time."""

import os
import time

# In an emulated machine everything takes longer.
PATIENCE = float(os.environ.get("BRYO_TEST_PATIENCE", "1"))


def wait_for(question, timeout=10, what=None):
    """Calls `question` until its answer is true; returns the answer. An AssertionError inside counts as "not yet"."""
    deadline, pause = time.monotonic() + timeout * PATIENCE, 0.002
    while True:
        failure = None
        try:
            answer = question()
            if answer:
                return answer
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or getattr(question, '__name__', 'the condition')}" +
                                 (f": {failure}" if failure else ""))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
