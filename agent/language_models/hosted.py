"""A model behind an OpenAI-compatible server: OpenAI itself, vLLM, llama.cpp, a gateway."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from whimbrel.agent.language_models.prices import price_of
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Usage, fit
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError

TIMEOUT_SECONDS, RETRIES = 60.0, 1
CONCURRENT = 4
"""Requests under way at once."""
REASONING_TOKENS = 2000
"""Room for the thoughts of a model that reasons; they count as tokens written."""

_TAG = re.compile(r"<(?=[|/a-z_])")
"""The beginning of what a server's chat template might take for a control token (`<|im_end|>`, `</s>`)."""


class HostedModel:
    """Asks for structured output in the strictest form that the server takes and remembers which that was."""

    scores = False

    def __init__(self, model: str, *, base_url: str | None, spec: str) -> None:
        from openai import OpenAI

        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
        if not key:
            raise ConfigError(f"{spec!r} needs a key: set OPENAI_API_KEY, or name a server with openai:MODEL@BASE_URL")
        self.spec = spec
        self._model = model
        self._price = price_of(model)
        try:
            key.encode("ascii")
            self._client = OpenAI(api_key=key, base_url=base_url, timeout=TIMEOUT_SECONDS, max_retries=RETRIES)
        except Exception as error:
            raise ConfigError(
                f"{spec!r} cannot be asked ({type(error).__name__}: {error}): mend the address, OPENAI_API_KEY or the "
                "proxy"
            ) from error
        self._form = 0
        self._reasons = False

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        with ThreadPoolExecutor(CONCURRENT) as pool:
            return list(pool.map(lambda messages: self._reply(messages, schema, max_tokens), conversations))

    def _reply(self, messages: Sequence[Message], schema: type[T], max_tokens: int) -> Generation[T]:
        """Where the server refuses a setting or a form of the schema, do without it from then on."""
        from openai import APIStatusError

        forms = _forms(schema.model_json_schema(), schema.__name__)
        while True:
            form, reasons = self._form, self._reasons
            try:
                return self._ask(messages, schema, forms[form] | _settings(max_tokens, reasons=reasons))
            except APIStatusError as error:
                if error.status_code not in (400, 422, 500):
                    raise self._failure(error) from error
                if getattr(error, "param", None) in ("max_tokens", "temperature") and not reasons:
                    self._reasons = True
                elif form + 1 < len(forms):
                    self._form = max(self._form, form + 1)
                else:
                    raise self._failure(error) from error

    def _ask(self, messages: Sequence[Message], schema: type[T], settings: dict[str, Any]) -> Generation[T]:
        from openai import APIConnectionError, APIStatusError

        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": m["role"], "content": _TAG.sub("< ", m["content"])} for m in messages],  # type: ignore[misc]
                **settings,
            )
            counted = reply.usage
            details = counted.prompt_tokens_details if counted else None
            usage = Usage(
                llm_calls=1,
                prompt_tokens=int(counted.prompt_tokens or 0) if counted else 0,
                cached_tokens=int(details.cached_tokens or 0) if details else 0,
                completion_tokens=int(counted.completion_tokens or 0) if counted else 0,
            )
            if self._price:
                usage = replace(usage, cost_usd=self._price.of(usage))
            return fit(str(reply.choices[0].message.content or ""), schema, usage)
        except APIStatusError:
            raise
        except APIConnectionError as error:
            raise ModelError(
                f"no answer from {self._client.base_url} for {self.spec!r} ({error}): is the server running?",
                retryable=True,
            ) from error
        except Exception as error:
            raise ModelError(
                f"what {self.spec!r} answered is no chat completion ({type(error).__name__}: {str(error)[:120]}): "
                "is the address that of an OpenAI-compatible server, as in http://127.0.0.1:8000/v1?"
            ) from error

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        raise ModelError(f"model {self.spec!r} gives no likelihoods")

    def forget(self) -> None:
        pass  # keeps nothing

    def _failure(self, error: Any) -> ModelError:
        code = error.status_code
        hint = {
            401: "check OPENAI_API_KEY",
            403: "this key may not use the model",
            404: "check the model's name and the address",
            429: "wait, or ask for a higher limit",
        }.get(code, "try again, or use another model")
        return ModelError(
            f"{self.spec!r} answered {code}: {str(error.message)[:160]}; {hint}",
            retryable=code in (408, 429, 500, 502, 503),
        )


def _settings(max_tokens: int, *, reasons: bool) -> dict[str, Any]:
    """A model that reasons takes no temperature and counts its thoughts among the tokens written."""
    if reasons:
        return {"max_completion_tokens": max_tokens + REASONING_TOKENS}
    return {"max_tokens": max_tokens, "temperature": 0.0}


def _forms(schema: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """From the strictest to none: OpenAI's structured output, llama.cpp's, JSON mode, plain words."""
    return [
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": name, "strict": True, "schema": schema | {"additionalProperties": False}},
            }
        },
        {"response_format": {"type": "json_object", "schema": schema}},
        {"response_format": {"type": "json_object"}},
        {},
    ]
