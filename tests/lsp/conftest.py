"""pytest-lsp's client, driving the real server: with the probes and no model, or with an engine of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities, make_test_lsp_client
from tests.lsp.editor import environment

from inkling.lsp.inline_types import InlineCompletionRequest


def make_client() -> LanguageClient:
    """A client with partial results (pytest-lsp's own handler takes every progress for a work-done one) and manners."""
    client = make_test_lsp_client()
    for method in (types.CLIENT_REGISTER_CAPABILITY, types.WORKSPACE_CODE_LENS_REFRESH):
        client.protocol.fm.feature(method)(lambda params: None)
    ask = client.protocol.get_message_type

    def message_type(method: str) -> Any:
        return InlineCompletionRequest if method == types.TEXT_DOCUMENT_INLINE_COMPLETION else ask(method)

    client.protocol.get_message_type = message_type  # type: ignore[method-assign, assignment]
    client.partial_results = {}  # type: ignore[attr-defined]
    own = client.protocol.fm.features[types.PROGRESS]

    def progress(params: types.ProgressParams) -> None:
        if str(params.token).startswith("partial"):
            client.partial_results.setdefault(params.token, []).append(params.value)  # type: ignore[attr-defined]
        else:
            own(params)

    client.protocol.fm.features[types.PROGRESS] = progress
    return client


@contextlib.asynccontextmanager
async def serving(
    root: Path,
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
    prepare: Callable[[LanguageClient], None] = lambda client: None,
) -> AsyncGenerator[LanguageClient, None]:
    """A real server for the folder `root`, as VS Code starts it; `prepare` has the client before it initializes."""
    server = ClientServerConfig(
        server_command=[sys.executable, "-m", "inkling", "lsp"],
        client_factory=make_client,
        server_env={**os.environ, **environment, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    client = await server.start()
    assert isinstance(client, LanguageClient)
    prepare(client)
    await client.initialize_session(
        types.InitializeParams(
            capabilities=client_capabilities("visual_studio_code"),
            root_uri=root.as_uri(),
            workspace_folders=[types.WorkspaceFolder(root.as_uri(), root.name)],
            initialization_options=dict(settings),
        )
    )
    yield client
    await client.shutdown_session()
    await client.stop()


@pytest.fixture
def settings() -> dict[str, Any]:
    """initializationOptions; override in a test module."""
    return {"server": {"start_engine": False}}


@pytest_asyncio.fixture
async def client(
    tmp_path: Path, settings: dict[str, Any], request: pytest.FixtureRequest
) -> AsyncGenerator[LanguageClient, None]:
    """An initialized client; the parameter, if any, names one of pytest-lsp's client profiles."""
    server = ClientServerConfig(
        server_command=[sys.executable, "-m", "inkling", "lsp"],
        client_factory=make_client,
        server_env={**os.environ, **environment(tmp_path, "words=Words", "bad=Bad")},
    )
    client = await server.start()
    assert isinstance(client, LanguageClient)
    profile = getattr(request, "param", "neovim")
    root = tmp_path / "project"
    root.mkdir()
    params = types.InitializeParams(
        capabilities=client_capabilities(profile), root_uri=root.as_uri(), initialization_options=settings
    )
    client.result = await client.initialize_session(params)  # type: ignore[attr-defined]
    yield client
    await client.shutdown_session()
    await client.stop()
