"""The REST server with live events. `gpuagent.api:app` is the ASGI application, configured by the environment."""

from gpuagent.api.app import create_app

app = create_app()
