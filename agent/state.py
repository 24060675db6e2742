"""The data classes of the pipeline: the request, the resources of the stages, and their results so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.elsewhere import Elsewhere, merged
from whimbrel.agent.explanation.explain import Explained
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.language_models.protocol import Tier
from whimbrel.agent.profile.summarise import Summary
from whimbrel.agent.ranking.modalities import Comparison
from whimbrel.agent.ranking.rank import RankConfig, Ranking
from whimbrel.agent.ranking.rankers import CandidateKind
from whimbrel.agent.reading.read_person import NO_READING, Reading
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.predict import Prediction
from whimbrel.prompts.phrases import Language
from whimbrel.tools.errors import ModelError
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate, Candidates
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.interest import Interest
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.minilm import ENGLISH


class PipelineConfig(BaseModel):
    """The settings of the pipeline that are not learned.

    Attributes:
        candidates: How many candidates are retrieved. If twice the length of the list is more, that many are retrieved.
        worded: For how many of the first recommendations the language model writes the reason.
        rank: The settings of ranking.
        language: The language of summaries, reasons and prompts.
        tier: What the language model is capable of. If None, it is measured (see `reading.tiers`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(default=200, ge=1)
    worded: int = Field(default=3, ge=0)
    rank: RankConfig = RankConfig()
    language: Language = "en"
    tier: Tier | None = None


@dataclass(frozen=True)
class Request:
    """One request, and the time for which it is answered.

    Attributes:
        user_id: The user whose history is read from the catalogue, and from elsewhere; "" for a new user.
        history: The user's events, oldest first. They replace the catalogue's history of `user_id`.
        at: The requested time, in Unix seconds. None means the time of the last event in `history`.
        context: The situation, and what the user said they want or refuse.
        k: The length of the list.
        candidates: The items to rank. If None, candidates are retrieved from the whole catalogue.
        without: Ids of further items that must not be retrieved. Items of the history are never retrieved.
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
    """What the stages read: items and interactions, the learned models, the language model, and the settings.

    Attributes:
        click_rates: How often each item was chosen when it was shown. By default the rates in `fitted` are used.
        elsewhere: Another store, in which the user may have a history.
    """

    catalogue: Catalogue
    fitted: Fitted
    model: ModelAccess = NO_MODEL
    config: PipelineConfig = field(default_factory=PipelineConfig)
    click_rates: ClickRates | None = None
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True)
class Recall:
    """What is known of the user before the requested time.

    Attributes:
        history: The events in order, without the items that the user rejected.
        vectors: Unit text vectors by item id, for the items of the history and of `Context.more`, and those elsewhere.
        refused: Ids of the items that the user rejected.
        at: The requested time, in Unix seconds; None if no times are known.
        before: Only events of the log before this time are read. It is infinite if `at` is None.
        encoder: The encoder of all text vectors of the request.
        elsewhere: The events in another store, in order. They tell of interest, and are never cited or recommended.
    """

    history: Sequence[Item] = ()
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    at: float | None = None
    before: float = np.inf
    encoder: TextEncoder = ENGLISH
    elsewhere: Sequence[Item] = ()

    @cached_property
    def whole(self) -> Sequence[Item]:
        """The events of both stores in order of time."""
        return merged(self.history, self.elsewhere)


@dataclass(frozen=True)
class State:
    """A request with the results of its stages. A stage that was not run leaves its result empty.

    Attributes:
        reading: What a capable language model read of the user.
        candidates: The items that may be recommended.
        excluded: Candidates that the caller supplied and the context refuses. They are ranked last.
        kind: The kind of candidates. It decides which weights rank them.
        features: Standardised features of the candidates, shape (candidates, features).
        modalities: The candidates compared by further vectors, such as of images, keyed by modality.
        seconds: How many seconds each stage took, keyed by the stage's name.
        failure: Why the language model could not be used. The remaining stages then went on without it.
    """

    request: Request
    recall: Recall = field(default_factory=Recall)
    reading: Reading = NO_READING
    summary: Summary = field(default_factory=lambda: Summary((), (), (), ""))
    prediction: Prediction = field(default_factory=lambda: Prediction(Shift(kind="none", reason="")))
    interest: Interest = field(default_factory=Interest)
    candidates: Candidates = field(default_factory=Candidates)
    excluded: Sequence[Candidate] = ()
    kind: CandidateKind = "retrieved"
    features: Floats = field(default_factory=lambda: np.empty((0, 0)))
    modalities: Mapping[str, Comparison] = field(default_factory=dict)
    ranking: Ranking = field(default_factory=Ranking)
    explained: Explained = field(default_factory=lambda: Explained(()))
    seconds: Mapping[str, float] = field(default_factory=dict)
    failure: ModelError | None = None
