"""Systems by name. They come from this package, from other packages, or from a function of the user."""

import importlib
from importlib.metadata import EntryPoint, entry_points

from whimbrel.evals.systems.protocol import System, from_ranking
from whimbrel.tools.errors import ConfigError

SYSTEM_GROUP = "whimbrel.systems"
"""The group of entry points by which other packages add systems. An entry point has a name and names a `System`, which
is a function of (Training, Settings) that returns a scorer:

    [project.entry-points."whimbrel.systems"]
    my-system = "my_package.my_module:my_system"
"""

SYSTEMS = {
    "whimbrel": "whimbrel:whimbrel",
    "whimbrel-none": "whimbrel:whimbrel_none",
    "popularity": "shortcuts:popularity",
    "recent-popularity": "shortcuts:recent_popularity",
    "inverse-popularity": "shortcuts:inverse_popularity",
    "newest": "shortcuts:newest",
    "bm25": "text:bm25",
    "similarity": "text:similarity",
    "itemknn": "neighbours:itemknn",
    "ease": "ease:ease",
    "sessionknn": "neighbours:sessionknn",
    "userknn": "neighbours:userknn",
    "markov": "transitions:markov",
    "item2vec": "embeddings:item2vec",
    "lda": "embeddings:lda",
    "als": "factors:als",
    "bpr": "factors:bpr",
    "lightfm": "factors:lightfm",
    "sasrec": "sasrec:sasrec",
}
"""The systems of this package, with the module and function of each below `whimbrel.evals.systems`."""


def load_system(name: str) -> System:
    """Return the system with this name.

    Args:
        name: One of SYSTEMS, the name of an entry point of SYSTEM_GROUP, or `package.module:function`. Such a function
            takes a `BlindCase` and returns item ids, the best first.

    Raises:
        ConfigError: there is no such system, or it cannot be imported.

    Example:
        >>> from whimbrel.agent.learning.cases import BlindCase
        >>> from whimbrel.agent.learning.sessions import Training
        >>> from whimbrel.evals.systems.protocol import Settings
        >>> training = Training.of([("u", [("tea", None), ("bread", None)]), ("v", [("tea", None)])], {})
        >>> score = load_system("popularity")(training, Settings())
        >>> score(BlindCase("1", "w", (), training.items)).tolist()
        [2.0, 1.0]
    """
    # The names of this package come first, so that no other package can replace a system such as `popularity`.
    if name in SYSTEMS:
        return _imported(EntryPoint(name, f"whimbrel.evals.systems.{SYSTEMS[name]}", SYSTEM_GROUP))
    plugins = {plugin.name: plugin for plugin in entry_points(group=SYSTEM_GROUP)}
    if name in plugins:
        return _imported(plugins[name])
    module, colon, function = name.partition(":")
    if not colon:
        raise ConfigError(
            f"{name!r} is not a system: give one of {', '.join([*SYSTEMS, *sorted(plugins)])}, a function as "
            "package.module:function, or a ranking file that ends in .jsonl"
        )
    try:
        rank = getattr(importlib.import_module(module), function)
    # Any error at all, since code of another package runs here.
    except Exception as error:
        raise ConfigError(f"system {name!r} cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(rank):
        raise ConfigError(f"system {name!r} is not a function")
    return lambda training, settings: lambda case: from_ranking(rank(case), case)


def _imported(entry_point: EntryPoint) -> System:
    try:
        system: System = entry_point.load()
    except Exception as error:
        raise ConfigError(
            f"system {entry_point.name!r} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    if not callable(system):
        raise ConfigError(f"system {entry_point.name!r} is not a function")
    return system
