"""Where Vercel's Python runtime finds the ASGI application. Elsewhere: `gpuagent serve`, or gpuagent.api:app."""

from gpuagent.api import app

__all__ = ["app"]
