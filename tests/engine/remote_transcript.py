"""`python -m tests.engine.remote_transcript docs/remote.md` asks each server and writes what it said into the page.

The servers are real, on loopback, with a tiny random model, so the answers make no sense; that they come, and how each
server differs, is what the transcript shows. It goes between the lines `<!-- transcript: begin -->` and `… end -->`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from contextlib import AsyncExitStack, ExitStack, aclosing, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inkling.engine.fake import FakeEngine
from inkling.engine.protocol import GenerateRequest, Priority
from inkling.engine.remote.router import Router
from inkling.engine.remote.settings import RemoteSettings
from inkling.engine.remote.where import text_goes
from inkling.engine.settings import EngineSettings
from inkling.errors import InklingError

from .conftest import ARCHITECTURES, SAMPLE, SIZE
from .third_party import LLAMA_CPP, TRANSFORMERS, llama_cpp, missing, transformers_serve

CODE = "def add(first, second):\n    return"
TOKEN = "transcript"
BELOW = "\n\n\nprint(add(1, 2))\n"
BEGIN, END = "<!-- transcript: begin -->", "<!-- transcript: end -->"


def tiny(folder: Path) -> Path:
    """A Qwen2 of random weights with a byte-level tokenizer."""
    import torch
    import transformers

    from inkling.training.tokenizer import train_from_scratch, wrap

    torch.manual_seed(7)
    _, changes = ARCHITECTURES["qwen2"]
    config = transformers.Qwen2Config(**{**SIZE, **changes})
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger weights than a fresh model's, so that its choices are sure
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    model.save_pretrained(folder)
    wrap(train_from_scratch([SAMPLE], 600), context=512).save_pretrained(folder)
    return folder


async def ask(lines: list[str], title: str, url: str, model: str, **changes: Any) -> None:
    """One server: what it is, a completion, a hole, a chat, a task that it does not serve."""
    port = url.rpartition(":")[2]

    def say(text: str) -> None:
        lines.append(text.replace(port, "PORT").replace(model, "MODEL") if "/" in model else text.replace(port, "PORT"))

    settings = EngineSettings(remotes={"pool": RemoteSettings(url=url, **changes)}, routes={"*": "pool"})
    router = Router(settings, FakeEngine())
    say(f"# {title}")
    try:
        await router.start()
        state = router.remotes()[0]
        say(f"text goes       {text_goes(settings)['detail']}")
        say(f"speaks          {state['kind']}; models: {', '.join(state['models']) or 'none listed'}")
        completion = GenerateRequest(model, CODE, max_tokens=8, priority=Priority.COMPLETION)
        hole = GenerateRequest(model, CODE, BELOW, max_tokens=8, priority=Priority.COMPLETION)
        chat = GenerateRequest(model, messages=({"role": "user", "content": "Add two."},), max_tokens=8)
        for name, request in (("completion", completion), ("fill in middle", hole), ("chat", chat)):
            async with aclosing(router.generate(request)) as chunks:
                found = [chunk async for chunk in chunks]
            notices = [notice for chunk in found for notice in chunk.notices]
            scored = any(chunk.logprob for chunk in found)
            say(
                f"{name:<15} {''.join(chunk.text for chunk in found)!r} in {len(found)} pieces, "
                f"{found[-1].finish}, {'with' if scored else 'without'} probabilities"
                + (f", {', '.join(notices)}" if notices else "")
            )
        for task, call in (
            ("classification", router.classify(["Nice."], model="starter:tone")),
            ("embedding", router.embed(["Nice."], model=model)),
        ):
            try:
                result: Any = (await call)[0]
                shown = (
                    f"{result[0].label} {result[0].score:.2f}" if task == "classification" else f"{len(result)} numbers"
                )
                say(f"{task:<15} {shown}")
            except InklingError as error:
                say(f"{task:<15} {error.reason}: {error}")
    finally:
        await router.close()
    lines.append("")


async def ask_with_their_clients(lines: list[str], url: str, model: str) -> None:
    """Our engine, by the clients that people use for OpenAI's and Hugging Face's own services."""
    import huggingface_hub
    import openai

    chat = [{"role": "user", "content": "Add two."}]
    lines.append(f"# an Inkling engine, asked by openai {openai.__version__}")
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0) as client:
        stream = await client.completions.create(model=model, prompt=CODE, max_tokens=8, stream=True, temperature=0)
        pieces = [piece.choices[0].text async for piece in stream]
        lines.append(f"completion      {''.join(pieces)!r} in {len(pieces)} pieces")
        said: Any = await client.chat.completions.create(model=model, messages=chat, max_tokens=8, temperature=0)  # type: ignore[call-overload]
        lines.append(f"chat            {said.choices[0].message.content!r}, {said.usage.total_tokens} tokens in all")
        row = (await client.embeddings.create(model="starter:encoder", input="Nice.")).data[0]
        lines.append(f"embedding       {len(row.embedding)} numbers")
        models = [listed.id async for listed in await client.models.list()]
        lines.append(f"models          {', '.join('MODEL' if name == model else name for name in models)}")
        try:
            await client.with_options(api_key="another").models.list()
        except openai.AuthenticationError as error:
            lines.append(f"another token   {type(error).__name__}: {error.body['reason']}")  # type: ignore[index]
    lines += ["", f"# an Inkling engine, asked by huggingface_hub {huggingface_hub.__version__}"]
    huggingface_hub.constants.HF_HUB_OFFLINE = False  # it would refuse even loopback

    def hub(task: str, name: str) -> Any:
        return huggingface_hub.InferenceClient(f"{url}/models/{quote(name, safe='')}/pipeline/{task}", token=TOKEN)

    def theirs() -> list[str]:
        label = hub("text-classification", "starter:tone").text_classification("Nice.")[0]
        vector = hub("feature-extraction", "starter:encoder").feature_extraction("Nice.")
        writer = hub("text-generation", model)  # kept: a client that is collected closes its streams
        pieces = list(writer.text_generation(CODE, max_new_tokens=8, stream=True))
        return [
            f"completion      {''.join(pieces)!r} in {len(pieces)} pieces",
            f"classification  {label.label} {label.score:.2f}",
            f"embedding       {vector.shape[-1]} numbers",
        ]

    lines += [*await asyncio.to_thread(theirs), ""]


async def own(stack: AsyncExitStack, model: Path) -> str:
    """Our own engine with the same model, on loopback with a token."""
    import uvicorn

    from inkling.engine.app import create_app
    from inkling.engine.models.store import create_backend

    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            return nullcontext()

    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    app = create_app(create_backend, token=TOKEN, hosts=frozenset({f"127.0.0.1:{port}"}))
    server = Server(uvicorn.Config(app, log_config=None))
    running = asyncio.create_task(server.serve(sockets=[listener]))

    async def leave() -> None:
        server.should_exit = True
        await running

    stack.push_async_callback(leave)
    return f"http://127.0.0.1:{port}"


async def main() -> None:
    """Ask all, print, and write into the files named."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        model = tiny(Path(folder) / "tiny")
        for why in filter(None, (missing(LLAMA_CPP), missing(TRANSFORMERS))):
            sys.exit(why)
        url = servers.enter_context(llama_cpp(model, Path(folder)))
        await ask(lines, "llama-cpp-python's server", url, "starter:code")
        url = servers.enter_context(transformers_serve(model, Path(folder)))
        await ask(lines, "transformers serve", url, str(model))
        async with AsyncExitStack() as stack:
            os.environ["TRANSCRIPT_TOKEN"] = TOKEN
            url = await own(stack, model)
            await ask(lines, "an Inkling engine", url, str(model), token_env="TRANSCRIPT_TOKEN")
            await ask_with_their_clients(lines, url, str(model))
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    for path in map(Path, sys.argv[1:]):
        before, _, rest = path.read_text("utf-8").partition(f"{BEGIN}\n")
        after = rest.partition(END)[2]
        path.write_text(f"{before}{BEGIN}\n```text\n{text}```\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
