"""The values of the pipeline: what is asked, what stages draw on, and what they made of a request so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.explanation.explain import Explained
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.profile.summarise import Summary
from whimbrel.agent.ranking.rank import RankConfig, Ranking
from whimbrel.agent.ranking.rankers import CandidateKind
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.predict import Prediction
from whimbrel.prompts.phrases import Language
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.interest import Interest
from whimbrel.tools.text.encoder import Vectors


class PipelineConfig(BaseModel):
    """The settings of a request that are not learned.

    Attributes:
        candidates: How many candidates retrieval brings, or twice the length of the list if that is more.
        worded: How many reasons the language model words, from the first recommendation on.
        rank: The settings of ranking.
        language: The language of summaries, reasons and prompts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(default=200, ge=1)
    worded: int = Field(default=3, ge=0)
    rank: RankConfig = RankConfig()
    language: Language = "en"


@dataclass(frozen=True)
class Request:
    """What is asked, and as of when.

    Attributes:
        user_id: The user whose history the catalogue holds; "" for somebody new.
        history: The events themselves, the first one first, in place of the catalogue's history of `user_id`.
        at: The moment asked about, in Unix seconds. None stands for the end of the given history.
        context: The situation, and what the user said they want or refuse.
        k: The length of the list.
        candidates: The items to rank. None retrieves them from the whole catalogue.
        without: Ids of items that must not be retrieved, besides those of the history.
    """

    user_id: str = ""
    history: Sequence[Item] | None = None
    at: float | None = None
    context: Context = field(default_factory=Context)
    k: int = 10
    candidates: Sequence[Item] | None = None
    without: Sequence[str] = ()


@dataclass(frozen=True)
class Resources:
    """What stages draw on: the items and interactions, what was learned, the language model, and the settings.

    Attributes:
        click_rates: How often each item was chosen when it was shown; by default what was learned.
    """

    catalogue: Catalogue
    fitted: Fitted
    model: ModelAccess = NO_MODEL
    config: PipelineConfig = field(default_factory=PipelineConfig)
    click_rates: ClickRates | None = None


@dataclass(frozen=True)
class Recall:
    """What is known of the user before the moment asked about.

    Attributes:
        history: The events in order, without the items that the user turned away from.
        vectors: Unit text vectors of the items in the history, and of those that the context wants more like, by id.
        refused: Ids of the items that the user turned away from.
        at: The moment asked about, in Unix seconds; None where no times are known.
        before: The time up to which the log counts, by the clock of the log; infinite where `at` is None.
    """

    history: Sequence[Item] = ()
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    at: float | None = None
    before: float = np.inf


@dataclass(frozen=True)
class State:
    """A request with what the stages made of it; the values of stages that were not run are empty.

    Attributes:
        candidates: What may be recommended.
        excluded: Given candidates that the context refuses; they come last.
        kind: How the candidates came about, which decides the weights they are ranked with.
        features: Standardised features of the candidates, shape (candidates, features).
        seconds: How long each stage took, by name, in seconds.
    """

    request: Request
    recall: Recall = field(default_factory=Recall)
    summary: Summary = field(default_factory=lambda: Summary((), (), (), ""))
    prediction: Prediction = field(default_factory=lambda: Prediction(Shift(kind="none", reason="")))
    interest: Interest = field(default_factory=Interest)
    candidates: Sequence[Candidate] = ()
    excluded: Sequence[Candidate] = ()
    kind: CandidateKind = "retrieved"
    features: Floats = field(default_factory=lambda: np.empty((0, 0)))
    ranking: Ranking = field(default_factory=Ranking)
    explained: Explained = field(default_factory=lambda: Explained(()))
    seconds: Mapping[str, float] = field(default_factory=dict)
