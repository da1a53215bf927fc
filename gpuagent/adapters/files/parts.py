"""Streams cut into parts of one size."""

from collections.abc import Iterable, Iterator

from gpuagent.errors import FileAltered


def in_parts(chunks: Iterable[bytes], part_size: int, size_max: int) -> Iterator[bytes]:
    """The same bytes in parts of one size, the last one shorter. Raises FileAltered beyond size_max.

    What the stream raises is raised once all that came before it has been given.
    """
    rest, total, failure = bytearray(), 0, None
    stream = iter(chunks)
    while True:
        try:
            chunk = next(stream)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - whatever broke the stream, what came is kept
            failure = error
            break
        total += len(chunk)
        if total > size_max:
            raise FileAltered(f"more came than the {size_max} bytes that were announced")
        rest += chunk
        while len(rest) >= part_size:
            yield bytes(rest[:part_size])
            del rest[:part_size]
    if rest:
        yield bytes(rest)
    if failure:
        raise failure
