"""The log levels of libraries that log secrets."""

import logging


def quiet_libraries() -> None:
    """Raise the levels of loggers that log secrets: httpx the API key in a node's URL, pymongo at DEBUG whole signed
    payments, httpcore at DEBUG the headers in which a vendor may repeat our token.

    A level that is set already stays.
    """
    for name, level in {"httpx": logging.WARNING, "httpcore": logging.INFO, "pymongo.command": logging.INFO}.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
