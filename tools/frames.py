"""Tables as data frames of Polars or pandas, which are optional."""

from typing import TYPE_CHECKING, Any

from whimbrel.tools.errors import ConfigError

if TYPE_CHECKING:
    import pandas
    import polars


class Tabular:
    """A value that is also a table. It says its columns, and any frame is made from them."""

    def columns(self) -> dict[str, list[Any]]:
        """Return the cells of each column, from top to bottom. A table without rows keeps its columns."""
        raise NotImplementedError

    def to_polars(self) -> "polars.DataFrame":
        """Return the table as a Polars data frame.

        Raises:
            ConfigError: Polars is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise _not_installed("Polars", error) from error
        return polars.DataFrame(self.columns())

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the table as a pandas data frame.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise _not_installed("pandas", error) from error
        return pandas.DataFrame(self.columns())


def _not_installed(name: str, error: ImportError) -> ConfigError:
    return ConfigError(f"{name} is not installed ({error}): run `pip install 'whimbrel[notebook]'`")
