"""Keys, addresses and proxies as users give them. No message contains a credential."""

from typing import Any

import pytest
from pydantic import BaseModel

from whimbrel.agent.language_models.hosted import retry
from whimbrel.agent.language_models.hosted.address import (
    api_key,
    hide_credentials,
    proxy_variable,
    server_address,
)
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.agent.language_models.specs import open_model
from whimbrel.tools.errors import ConfigError, ModelError


class Colour(BaseModel):
    colour: str


@pytest.mark.parametrize("key", ["sk-SECRET-1", " sk-SECRET-1", "sk-SECRET-1\n", "\tsk-SECRET-1\r\n"])
def test_blanks_and_line_ends_around_a_key_are_dropped(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert api_key(None, spec="openai:m") == "sk-SECRET-1"


@pytest.mark.parametrize("key", ["sk-SECRET 1", "sk-SECRET\n1", "sk-SECRET\x071", "sk-SECRET\u00e9", "sk-SECRET\u200b"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY is not a key.*copy the key again") as caught:
        open_model("openai:m")
    assert "SECRET" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", ["", " \n"])
def test_a_server_of_ones_own_needs_no_key_and_openai_does(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert api_key("http://127.0.0.1:1/v1", spec="m") == "none"
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        api_key(None, spec="openai:m")


def test_the_server_is_that_of_the_spec_then_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert server_address(None) is None
    monkeypatch.setenv("OPENAI_BASE_URL", " http://127.0.0.1:1/v1\n")
    assert server_address(None) == "http://127.0.0.1:1/v1"
    assert server_address("http://127.0.0.1:2/v1") == "http://127.0.0.1:2/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1/")
    assert server_address(None) is None


def test_an_address_in_the_environment_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "127.0.0.1:8000")
    with pytest.raises(ConfigError, match=r"OPENAI_BASE_URL='127.0.0.1:8000' is not an address.*or unset it"):
        server_address(None)


def test_the_digest_names_the_server_that_is_asked_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET-1")
    digests = []
    for address in ("", "http://127.0.0.1:1/v1", "http://user:p@ss-SECRET@127.0.0.1:2/v1?key=SECRET"):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        model = HostedModel("m", base_url=None, spec="openai:m")
        digests.append(model.digest)
        assert "SECRET" not in model.digest
    assert len(set(digests)) == 3
    named = HostedModel("m", base_url="http://127.0.0.1:1/v1", spec="openai:m@http://127.0.0.1:1/v1")
    assert named.digest == digests[1]


def test_openai_is_asked_if_the_spec_names_it_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    model = HostedModel("m", base_url="https://api.openai.com/v1", spec="m")
    assert model.digest == "m@openai"
    assert str(model._connection.client.base_url).startswith("https://api.openai.com/")


def test_replies_of_another_server_are_not_remembered(scripted_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address, requests, replies = scripted_server
    replies.append((200, {"choices": [{"message": {"content": '{"colour": "blue"}'}}]}))
    for base_url in (address, address.replace("127.0.0.1", "localhost")):
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        model = open_model("openai:m")
        assert model is not None
        (reply,) = model.generate([[{"role": "user", "content": "Which?"}]], schema=Colour, max_tokens=9)
        assert reply.usage.remembered == 0
    assert len(requests) == 4  # each server is asked with and without a stream


def test_a_proxy_that_is_dead_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_TRIES_INCOMPLETE", 1)
    monkeypatch.setenv("HTTP_PROXY", "http://user:SECRET@127.0.0.1:9")
    monkeypatch.delenv("http_proxy", raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    model = HostedModel("m", base_url="http://192.0.2.1:8000/v1", spec="openai:m")
    with pytest.raises(ModelError, match=r"through the proxy in HTTP_PROXY \(correct or unset HTTP_PROXY") as caught:
        model.generate([[{"role": "user", "content": "Which?"}]], schema=Colour, max_tokens=9)
    assert "SECRET" not in str(caught.value)
    assert "is the server running" not in str(caught.value)


def test_a_proxy_of_an_unknown_kind_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks9://user:SECRET@127.0.0.1:9")
    for name in ("http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="correct the address, OPENAI_API_KEY or the proxy in HTTP_PROXY") as caught:
        HostedModel("m", base_url="http://192.0.2.1:8000/v1", spec="openai:m")
    assert "SECRET" not in str(caught.value)


def test_a_server_without_tls_is_not_taken_for_one_that_is_down(scripted_server: Any) -> None:
    address, _, _ = scripted_server
    model = HostedModel("m", base_url=address.replace("http:", "https:"), spec="openai:m")
    with pytest.raises(ModelError, match=r"SSL.*whether the address begins with http:// or https://"):
        model.generate([[{"role": "user", "content": "Which?"}]], schema=Colour, max_tokens=9)


def test_a_proxy_that_the_server_does_not_need_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_variable("http://192.0.2.1/v1") == ""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert proxy_variable("http://192.0.2.1/v1") == ""
    assert proxy_variable("https://192.0.2.1/v1") == "HTTPS_PROXY"
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    assert proxy_variable("http://192.0.2.1/v1") == "all_proxy"
    monkeypatch.setenv("no_proxy", "192.0.2.1")
    assert proxy_variable("http://192.0.2.1/v1") == ""


def test_credentials_in_any_address_are_hidden() -> None:
    text = "to http://a:b@c@h:1/v1?key=K&x=1 then socks5://u:p@127.0.0.1"
    assert hide_credentials(text) == "to http://h:1/v1?key=***&x=*** then socks5://127.0.0.1"
