"""A server on this machine that answers every connection with the bytes that it is given, HTTP or not."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def answering(respond: Callable[[bytes], bytes]) -> Iterator[str]:
    """The server's URL, until the block ends. respond: makes the answer from the request's head and what came with it.

    Every connection is closed after its answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return  # closed
                with connection:
                    try:
                        connection.sendall(respond(connection.recv(65_536)))
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65_536):
                            pass  # a reset would take the answer away
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
