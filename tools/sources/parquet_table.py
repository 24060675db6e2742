"""Read Parquet files as batches of columns."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.cells import as_text, without_halves
from whimbrel.tools.sources.raw import RawBatch, unique_names
from whimbrel.tools.sources.rows import BATCH_SIZE


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file. The line number of a row is its position in the file, counted from 1."""

    path: Path
    has_header: bool = True
    has_fixed_names: bool = True

    @property
    def total(self) -> int:
        """The number of rows."""
        return int(self._file.metadata.num_rows)

    @cached_property
    def names(self) -> Sequence[str]:
        """The names of the columns. A field of a nested column has its path, `product.name`."""
        schema = self._file.schema_arrow
        return [
            path
            for name, field in zip(unique_names(schema.names), schema, strict=True)
            for path in _paths(name, field.type)
        ]

    @cached_property
    def _file(self) -> Any:
        import pyarrow.parquet
        from pyarrow.lib import ArrowException

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except (ArrowException, OSError, ValueError) as error:
            raise DataError(f"{str(self.path)!r} is not a whole Parquet file: {_summary(error)}") from error

    def batches(self, size: int = BATCH_SIZE, only: Collection[str] | None = None) -> Iterator[RawBatch]:
        """Yield the rows, at most `size` in a batch, with all columns.

        Raises:
            DataError: The file cannot be read to its end.
        """
        from pyarrow.lib import ArrowException

        done = 0
        try:
            for batch in self._file.iter_batches(size):
                yield _raw(batch, done)
                done += batch.num_rows
        except (ArrowException, OSError, ValueError) as error:
            raise DataError(f"{str(self.path)!r} cannot be read past row {done}: {_summary(error)}") from error


def open_parquet(path: Path, *, encoding: str | None = None) -> ParquetTable:
    """Return the table of a Parquet file. Its texts are UTF-8, so an encoding is ignored.

    Raises:
        DataError: The file is not a complete Parquet file.
    """
    table = ParquetTable(path)
    table.names  # noqa: B018 - a broken file is refused at once
    return table


def _summary(error: Exception) -> str:
    """Return the first line of an error. A damaged file may put any character into it."""
    return str(clean_text((str(error).splitlines() or [""])[0]))


def _raw(batch: Any, done: int) -> RawBatch:
    named = zip(unique_names(batch.schema.names), batch.columns, strict=True)
    columns = {path: texts for name, array in named for path, texts in _texts(name, array)}
    return RawBatch(range(done + 1, done + 1 + batch.num_rows), columns, position=done + batch.num_rows)


def _paths(name: str, type_: Any) -> list[str]:
    import pyarrow.types as pt

    if pt.is_struct(type_):
        return [path for field in type_ for path in _paths(f"{name}.{field.name}", field.type)]
    return [name]


def _texts(name: str, array: Any) -> Iterator[tuple[str, list[str | None]]]:
    """Yield the columns of an array as texts, each with its name. A nested array has several."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as pt
    from pyarrow.lib import ArrowException

    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pt.is_struct(array.type):
        for number, field in enumerate(array.type):
            yield from _texts(f"{name}.{field.name}", pc.struct_field(array, [number]))
        return
    simple = pt.is_integer(array.type) or pt.is_boolean(array.type) or pt.is_temporal(array.type)
    if pt.is_floating(array.type):
        # Of a float of 32 bits, the shortest text is the number that was meant: 9.99, not 9.989999771118164.
        values = array.to_numpy(zero_copy_only=False)
        yield name, [None if value != value else _shortest(value) for value in values]
        return
    try:
        # Arrow itself writes numbers and times. It also writes a year past 9999, which Python cannot hold.
        texts = array.cast(pa.string()).to_pylist() if simple else list(map(as_text, array.to_pylist()))
    except (ArrowException, ValueError, OverflowError):
        texts = [_text(array, number) for number in range(len(array))]
    yield name, without_halves(texts)


def _shortest(value: Any) -> str | None:
    return as_text(float(str(value)))


def _text(array: Any, number: int) -> str | None:
    try:
        return as_text(array[number].as_py())
    except UnicodeDecodeError:
        return as_text(array[number].as_buffer().to_pybytes())
    except (ValueError, OverflowError):
        return str(array[number])
