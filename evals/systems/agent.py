"""Whimbrel itself, with and without its language model."""

import numpy as np

from whimbrel.agent import Agent
from whimbrel.agent.language_models.specs import open_model
from whimbrel.evals.cases import BlindCase
from whimbrel.evals.systems import Scored, Scorer, Settings
from whimbrel.evals.training import Training
from whimbrel.tools.interaction_log import InteractionLog


def whimbrel(training: Training, settings: Settings) -> Scorer:
    """The agent with the model of the settings."""
    llm = open_model(settings.llm)
    agent = Agent(None, llm, log=_log(training))

    def score(case: BlindCase) -> Scored:
        if llm is not None:
            llm.forget()
        ranking = agent.ranking(case.history, case.candidates, case.context)
        scores = {entry.candidate.item.item_id: entry.score for entry in ranking.ranked}
        return Scored(np.array([scores[item.item_id] for item in case.candidates]), ranking.usage, ranking.warnings)

    return score


def whimbrel_none(training: Training, settings: Settings) -> Scorer:
    """The agent without a language model."""
    return whimbrel(training, Settings(settings.seed, "none"))


def _log(training: Training) -> InteractionLog:
    """The training log as the agent reads one; where it has no times, its order stands for them."""
    times = training.times if training.times is not None else np.arange(len(training.rows), dtype=np.float64)
    users = [user_id or f"session {number}" for number, user_id in enumerate(training.user_ids)]
    return InteractionLog.build(
        training.items,
        (
            (float(time), users[session], training.items[row].item_id)
            for time, session, row in zip(times, training.session_of, training.rows, strict=True)
        ),
    )
