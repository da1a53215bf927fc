"""The machine's wall clock: the port Clock."""

import time


class SystemClock:
    def now(self) -> float:
        """Unix seconds in whole milliseconds, which is what MongoDB keeps."""
        return round(time.time(), 3)
