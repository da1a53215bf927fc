"""A driven run is ticked, and so its job polled, every two seconds."""

from gpuagent.core.pace import Pace

assert Pace().poll_s == 2.0
