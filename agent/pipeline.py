"""From a request to recommendations: recall, read, summarise, predict the shift, retrieve, compare, rank, explain.

Every method of the agent runs this pipeline. Learning and evaluation run it too, so they measure what users get. A
request becomes a `State`, and each stage adds values to it. The caller names the stages that it needs:

    state = run(Request(user_id="42", at=1_500_000_000.0), resources, RECOMMEND)
    state.explained.recommendations

The stages stand in this file in the order in which they run. Each takes the state so far and returns it with its own
values added.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from whimbrel.agent.elsewhere import EventsElsewhere, merged
from whimbrel.agent.explanation.asked import Asked
from whimbrel.agent.explanation.explain import explain
from whimbrel.agent.explanation.facts import Background
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.profile.summarise import summarise
from whimbrel.agent.ranking.ask_model import Person, Wish
from whimbrel.agent.ranking.diversity import with_list
from whimbrel.agent.ranking.features import features_of
from whimbrel.agent.ranking.modalities import compare_modalities, most_alike
from whimbrel.agent.ranking.rank import kind_of_given, rank
from whimbrel.agent.reading.fuse_shift import fuse_shift
from whimbrel.agent.reading.read_person import ReadQuery, read_person
from whimbrel.agent.schema.context import Context
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.agent.stage_facts import request_content, request_facts, stage_content, stage_facts
from whimbrel.agent.state import Recall, Request, Resources, State
from whimbrel.tools.errors import ModelError
from whimbrel.tools.given_up import stop_if_given_up
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.topic_clusters import LEAST_CLUSTERED_ITEMS, cluster_topics, with_cluster_topics
from whimbrel.tools.observing import observed, observed_runnable
from whimbrel.tools.records import Interaction, Item, is_expired, rejected_ids, without_rejected
from whimbrel.tools.retrieval.candidates import Candidate, Candidates, retrieve
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.channels import RetrievalQuery
from whimbrel.tools.retrieval.interest import interest_of, latest_liked
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.encoders import encoder_for
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.text.item_vectors import item_vectors

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable


def recall(state: State, resources: Resources) -> State:
    """Read the user's history before the requested time, and that in another store if there is one."""
    request, catalogue = state.request, resources.catalogue
    if request.history is None:
        before = np.inf if request.at is None else request.at
        events = catalogue.history(request.user_id, before=before) if _is_here(request.user_id, resources) else []
        at = request.at
    else:
        given = [item for item in request.history if not resources.catalogue.sensitive.covers_item(item)]
        events = [item for item in given if request.at is None or item.time is None or item.time < request.at]
        times = [item.time for item in events if item.time is not None]
        at = max(times, default=None) if request.at is None else request.at
    before = np.inf if at is None else at
    events = [event for event in events if not is_expired(event, before)]
    encoder = _encoder(request, catalogue)
    history = _with_topics(without_rejected(events), encoder)
    vectors, elsewhere = _vectors(request, history, catalogue, encoder), EventsElsewhere()
    if resources.elsewhere and request.user_id:
        elsewhere = resources.elsewhere.read(request.user_id, before=before, sensitive=catalogue.sensitive)
    vectors |= elsewhere.vectors
    recalled = Recall(history, vectors, rejected_ids(events), at, before, encoder, elsewhere.events)
    return replace(state, recall=recalled)


def read(state: State, resources: Resources) -> State:
    """Let a capable language model read the user."""
    if not resources.model.reads:
        return state
    recall, context = state.recall, state.request.context
    topics = _wishable_topics(state, resources.catalogue)
    query = ReadQuery(recall.whole, _known_moment(recall), context, topics, recall.encoder)
    return replace(state, reading=read_person(query, resources.model))


def summarise_history(state: State, resources: Resources) -> State:
    """Summarise the user's interests as topics and as text."""
    recall, model, reading = state.recall, resources.model, state.reading
    # A model that has read the user has written the sentence already.
    llm = None if model.reads else model.llm
    summary = summarise(recall.history, llm, vectors=recall.vectors, language=model.language)
    return replace(state, summary=replace(summary, words=reading.now) if reading.now else summary)


def predict(state: State, resources: Resources) -> State:
    """Predict the interest shift and the topics of the next event."""
    recall, context = state.recall, state.request.context
    query = ShiftQuery(
        at=_known_moment(recall),
        context=context,
        topic_vectors=_wishable_topics(state, resources.catalogue) if context.query else {},
        encoder=recall.encoder,
        habits=resources.catalogue.habits(before=recall.before),
    )
    prediction = predict_shift(recall.history, query, model=resources.model, topics=resources.fitted.topics)
    if shared := _in_topics_of(resources.catalogue, recall):
        # The shift tells of this store alone, as its reason counts events. What is likely next rests on both stores.
        both = predict_shift(shared, replace(query, context=Context()), topics=resources.fitted.topics)
        prediction = replace(prediction, topics=both.topics, p_topic_change=both.p_topic_change)
    prediction = fuse_shift(prediction, state.reading, wished=bool(context.query), say=resources.model.say)
    return replace(state, prediction=prediction)


def focus(state: State, resources: Resources) -> State:
    """Turn the history, the predicted topics and the wish into interest vectors."""
    recall, context = state.recall, state.request.context
    query = recall.encoder.encode([context.query] if context.query else [])
    interest = interest_of(
        recall.whole,
        recall.vectors,
        predicted=_topic_vectors(state, resources.catalogue),
        wished=[*query, *(recall.vectors[item_id] for item_id in context.more if item_id in recall.vectors)],
    )
    return replace(state, interest=replace(interest, phrases=state.reading.phrase_vectors))


def retrieval_query(state: State, resources: Resources) -> RetrievalQuery:
    """Return the retrieval query for this user and time."""
    request, recall = state.request, state.recall
    return RetrievalQuery(
        recall.history,
        before=recall.before,
        interest=state.interest,
        expected=state.prediction.topics,
        learned=resources.fitted.items,
        min_people=resources.catalogue.min_people,
        without=(
            *request.without,
            *request.context.more,
            *request.context.unavailable,
            *recall.refused,
            *_owned_elsewhere(state, resources),
        ),
        repeat=request.context.repeat,
    )


def _owned_elsewhere(state: State, resources: Resources) -> list[str]:
    """Return the ids of the items that have the title of one that the person has from another store."""
    elsewhere, catalogue = resources.elsewhere, resources.catalogue
    if elsewhere is None or elsewhere.offers_owned or state.request.context.repeat:
        return []
    titles, ids = {item.title.casefold() for item in state.recall.elsewhere}, catalogue.log.item_ids
    return [ids[row] for title in titles for row in catalogue.fields.rows_by_title.get(title, ())]


def gather(state: State, resources: Resources) -> State:
    """Retrieve candidates from the catalogue, or take the candidates that the request supplies."""
    request, config = state.request, resources.config
    if request.candidates is not None:
        return _given(state, request.candidates, resources)
    candidates = retrieve(
        resources.catalogue,
        retrieval_query(state, resources),
        weights=resources.fitted.fusion.channels,
        avoid=request.context.avoid,
        max_price=request.context.max_price,
        conditions=request.context.conditions,
        n=max(config.candidates, 2 * request.k),
    )
    # Where the log knows nothing of them, the weights for retrieved candidates would weigh what is not there.
    is_cold = not len(resources.catalogue.log.time) and kind_of_given(candidates) == "cold"
    return replace(state, candidates=candidates, kind="cold" if is_cold else "retrieved")


def compare(state: State, resources: Resources) -> State:
    """Compute the features from which the candidates are ranked."""
    if not len(state.candidates):
        return state
    modalities = compare_modalities(
        [item.item_id for item in state.candidates.items],
        latest_liked(state.recall.history),
        resources.catalogue.vectors_by_modality,
    )
    features = features_of(
        state.candidates,
        history=state.recall.whole,
        interest=state.interest,
        prediction=state.prediction,
        click_rates=resources.click_rates or resources.fitted.click_rates,
        modalities=modalities,
    )
    return replace(state, features=features, modalities=modalities)


def order(state: State, resources: Resources) -> State:
    """Order the candidates and choose the list that is shown."""
    request, config = state.request, resources.config.rank
    model = resources.model.for_likelihoods(before=state.recall.before)
    given = request.candidates is not None
    person = Person(
        history=state.recall.whole,
        wish=Wish(request.context.query, state.interest.wished),
        reading=state.reading,
        at=_known_moment(state.recall),
        situation=request.context.situation,
        p_topic_change=state.prediction.p_topic_change,
    )
    ranking = rank(
        state.candidates,
        state.features,
        ranker=resources.fitted.fusion.of(state.kind),
        person=person,
        model=model,
        config=config.for_list(request.k, orders=model.orders and model.tier != "fills"),
        k=request.k,
    )
    if not given or config.diversity:
        ranking = with_list(ranking, request.k, diversity=config.diversity, near_duplicates=given)
    if model.note:
        warnings = (model.note, *ranking.answer.warnings)
        ranking = replace(ranking, answer=replace(ranking.answer, warnings=warnings))
    return replace(state, ranking=replace(ranking, refused=state.excluded))


def give_reasons(state: State, resources: Resources) -> State:
    """Explain each entry of the list with events from the user's history."""
    model = resources.model
    # A capable model is called at most MOST_CALLS times: to read, to order twice or three times, and to word reasons.
    is_spent = model.reads and 1 + state.ranking.answer.calls >= MOST_CALLS
    explained = explain(
        state.ranking.list,
        Background(
            [event for event in state.recall.history if isinstance(event, Interaction)],
            vectors=state.recall.vectors,
            shift=state.prediction.shift,
            log=resources.catalogue.log,
            before=state.recall.before,
            elsewhere=state.recall.elsewhere,
            alike=most_alike([item.item_id for item in state.candidates.items], state.modalities),
            zone=model.zone,
            asked=_asked(state.request.context, resources.catalogue),
        ),
        llm=None if is_spent else model.llm,
        worded=resources.config.worded,
        language=model.language,
        writes_freely=model.reads,
        reading_words=state.summary.words,
    )
    return replace(state, explained=explained)


MOST_CALLS = 4
"""Most calls of a capable model for one request."""
Stage = Callable[[State, Resources], State]
STAGES: Mapping[str, Stage] = {
    "recall": recall,
    "read": read,
    "summarise": summarise_history,
    "predict_shift": predict,
    "interest": focus,
    "retrieve": gather,
    "compare": compare,
    "rank": order,
    "explain": give_reasons,
}
"""All stages by name, in order."""
RECOMMEND = tuple(STAGES)
SHIFT = ("recall", "read", "predict_shift")
QUERY = (*SHIFT, "interest")
FEATURES = (*QUERY, "retrieve", "compare")
RANK = (*FEATURES, "rank")
"""The stages of a recommendation, a shift, a retrieval query, the features for learning, and a ranking."""


def run(
    request: Request,
    resources: Resources,
    stages: Sequence[str] = RECOMMEND,
    *,
    on_step: Callable[[str], None] | None = None,
) -> State:
    """Run stages on a request.

    Args:
        request: The request.
        resources: The catalogue, the learned models, the language model and the settings.
        stages: Names from `STAGES`, in the same order.
        on_step: Called with the name of each stage when the stage ends.

    If the language model fails, this stage and the remaining ones go on without it, and `State.failure` says why.

    Raises:
        DataError: the catalogue has no such user.
        TimeoutError: nobody waits for the answer any more (see `AsyncAgent.run`).
    """
    state, seconds = State(request), dict[str, float]()
    with observed("request") as told:
        if told.is_heard:
            told.tell(request_facts(request, resources.model.llm), lambda: request_content(request))
        for name in stages:
            stop_if_given_up()
            started = time.perf_counter()
            state = _told(name, state, resources)
            seconds[name] = time.perf_counter() - started
            if on_step:
                on_step(name)
    return replace(state, seconds=seconds)


def _told(name: str, state: State, resources: Resources) -> State:
    """Run a stage, and tell observers of it."""
    with observed(name) as told:
        after = _after(name, state, resources)
        if told.is_heard:
            told.tell(stage_facts(name, after), lambda: stage_content(name, after))
    return after


def _after(name: str, state: State, resources: Resources) -> State:
    """Run a stage. If the language model fails, this stage and the later ones go on without it."""
    without_model = replace(resources, model=ModelAccess(None, resources.model.language, zone=resources.model.zone))
    if state.failure is not None:  # the later stages would wait for the same server
        return STAGES[name](state, without_model)
    try:
        return STAGES[name](state, resources)
    except ModelError as error:
        return replace(STAGES[name](state, without_model), failure=error)


def as_runnable(resources: Resources, stages: Sequence[str] = RECOMMEND) -> "Runnable[Request, State]":
    """Return the pipeline as a LangChain Runnable, for callbacks and batches.

    Each stage is one run. Traces are posted only as far as `tools.tracing` allows.

    Example:
        as_runnable(resources).batch([Request(user_id="1", at=at), Request(user_id="2", at=at)])
    """
    return observed_runnable(lambda request: run(request, resources, stages), "whimbrel.pipeline")


def _asked(context: Context, catalogue: Catalogue) -> Asked:
    """Return what was asked for, which an item must show before a reason says that it fits."""
    like = tuple(catalogue.items(context.more).values()) if context.more else ()
    return Asked(context.query, context.conditions, like)


def _is_here(user_id: str, resources: Resources) -> bool:
    """Return whether a user's history is to be read. Somebody known elsewhere alone has none here."""
    log, elsewhere = resources.catalogue.log, resources.elsewhere
    return bool(user_id) and not (elsewhere and user_id not in log.user_rows and elsewhere.knows(user_id))


def _in_topics_of(catalogue: Catalogue, recall: Recall) -> Sequence[Item]:
    """Return the events of both stores, those elsewhere with the topics that this store has too. Empty if none has."""
    if not recall.elsewhere:
        return ()
    known = set(catalogue.log.topics)
    topics = [tuple(topic for topic in item.topics if topic in known) for item in recall.elsewhere]
    shared = [item.model_copy(update={"topics": of}) for item, of in zip(recall.elsewhere, topics, strict=True) if of]
    return merged(recall.history, shared) if shared else ()


def _known_moment(recall: Recall) -> float | None:
    """Return the requested time, or None if the time of any event is unknown."""
    return recall.at if all(item.time is not None for item in recall.history) else None


def _encoder(request: Request, catalogue: Catalogue) -> TextEncoder:
    """Return the encoder of the catalogue. If it is empty, the items of the request choose it."""
    if catalogue.item_count():
        return catalogue.encoder
    return encoder_for([*(request.history or ()), *(request.candidates or ())])


def _with_topics(history: Sequence[Item], encoder: TextEncoder) -> Sequence[Item]:
    """Return the history. If none of its items has a topic, clusters of the titles become the topics."""
    if any(item.topics for item in history):
        return history
    items = list({item.item_id: item for item in history}.values())
    if len(items) < LEAST_CLUSTERED_ITEMS:
        return history
    return with_cluster_topics(history, cluster_topics(items, item_vectors(items, encoder)))


def _vectors(
    request: Request, history: Sequence[Item], catalogue: Catalogue, encoder: TextEncoder
) -> dict[str, Vectors]:
    """Return item vectors: from the catalogue for its own users, else computed from the items in the request."""
    more = request.context.more
    if request.history is None:
        return catalogue.item_vectors(sorted({item.item_id for item in history} | set(more)))
    items = list({item.item_id: item for item in [*history, *(request.candidates or ())]}.values())
    given = dict(zip([item.item_id for item in items], item_vectors(items, encoder), strict=True))
    absent = [item_id for item_id in more if item_id not in given]
    return {**given, **(catalogue.item_vectors(absent) if absent else {})}


def _wishable_topics(state: State, catalogue: Catalogue) -> dict[str, Vectors]:
    """Return the topics that a wish may mean: from the catalogue, the history and the supplied candidates."""
    known = catalogue.topic_vectors(before=state.recall.before)
    items = [*state.recall.history, *(state.request.candidates or ())]
    others = sorted({topic for item in items for topic in item.topics} - known.keys())
    return {**known, **dict(zip(others, state.recall.encoder.encode(others), strict=True))}


def _topic_vectors(state: State, catalogue: Catalogue) -> list[Vectors]:
    """Return the vectors of the topics that the interest shifts to."""
    topics = state.prediction.shift.to_topics
    vectors = catalogue.vectors_of_topics(topics) if topics else []
    return vectors if len(vectors) == len(topics) else list(state.recall.encoder.encode(topics))


def _given(state: State, items: Sequence[Item], resources: Resources) -> State:
    """Take the candidates that the request supplies. Candidates that the context refuses are kept separately."""
    recall, context = state.recall, state.request.context
    refusal = Refusal.of(context.avoid, {}, recall.encoder)
    hides = resources.catalogue.sensitive.covers_item
    excluded_ids = {item.item_id for item in items if refusal.covers(item) or hides(item) or not context.admits(item)}
    statistics = ItemStatistics.of(
        resources.catalogue.log, recall.history, before=recall.before, learned=resources.fitted.items
    )
    vectors = item_vectors(items, recall.encoder)
    allowed = [number for number, item in enumerate(items) if item.item_id not in excluded_ids]
    candidates = Candidates([items[number] for number in allowed], vectors[allowed], log=statistics)
    return replace(
        state,
        candidates=candidates,
        excluded=[
            Candidate(item, vector) for item, vector in zip(items, vectors, strict=True) if item.item_id in excluded_ids
        ],
        kind=kind_of_given(candidates),
    )
