"""The serverless platform's entry: Vercel's Python runtime looks for the ASGI application in this file."""

from gpuagent.api import app

__all__ = ["app"]
