"""Downloads a model from a hub: the one place of Inkling that reaches a network, and only when it is asked to.

Two steps, so that a person can say yes in between: `plan` asks the hub what there is and how large it is, `fetch`
downloads into the hub's usual cache. Only safetensors, tokenizer and configuration files are taken; a model that would
need pickles or its own code is refused before its weights are fetched.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from inkling.engine.models import hub_cache
from inkling.engine.models.catalog import ModelSource, verify
from inkling.engine.models.model_files import PICKLES
from inkling.engine.models.recommend import disk_free
from inkling.errors import InklingError

_WANTED = re.compile(
    r"""model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?
    | (config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json
    | (modules|sentence_bert_config|config_sentence_transformers|1_Pooling/config)\.json
    | vocab\.txt | merges\.txt | [\w.-]+\.spm | [\w.-]*(spiece|tokenizer|sentencepiece)[\w.-]*\.model
    | chat_template\.jinja | README\.md | LICEN[CS]E[\w.-]*
    """,
    re.VERBOSE,
)

_FORGOTTEN_S = 600
"""A part of a file that nobody has written to for so long belongs to a download that was ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download would fetch: file names with sizes in bytes, at one commit of one hub."""

    id: str
    endpoint: str
    commit: str
    files: dict[str, int]
    licence: str
    missing_bytes: int

    @property
    def bytes(self) -> int:
        """Of all files, those included that are here already."""
        return sum(self.files.values())


def plan(model_id: str, *, endpoint: str | None = None, use_token: bool = False) -> Plan:
    """Ask the hub. `use_token` sends the user's saved access token, which is otherwise never read.

    Raises InklingError: `bad-model-id`, `model-not-found`, `no-access`, `offline`, `pickle-only`, `weights-missing`,
    `remote-code`, `disk-full`.
    """
    parsed = hub_cache.parse_hub_id(model_id)
    if parsed is None:
        raise InklingError(
            "bad-model-id", f'"{model_id[:96]}" is not a hub id.', "Write org/name, or org/name@revision."
        )
    repo, revision = parsed
    endpoint = _endpoint(endpoint)
    with _explained(model_id, endpoint):
        from huggingface_hub import HfApi

        info = HfApi(endpoint=endpoint, token=use_token).model_info(repo, revision=revision, files_metadata=True)
        sizes = {file.rfilename: int(file.size or 0) for file in info.siblings or ()}
        files = {name: size for name, size in sizes.items() if _WANTED.fullmatch(name)}
        _check_weights(model_id, sizes, files)
        found = Plan(model_id, endpoint, str(info.sha), files, _licence(info), 0)
        _check_code(found, repo, use_token)
    missing = sum(size for name, size in files.items() if not _is_here(repo, found.commit, name))
    free = disk_free(hub_cache.cache_folder())
    if missing > 0.95 * free:
        raise InklingError(
            "disk-full",
            f"{model_id} needs {missing / 1e6:,.0f} MB; {hub_cache.cache_folder()} has {free / 1e6:,.0f} MB free.",
            "Free some space, or set HF_HOME to a larger disk.",
        )
    return Plan(model_id, endpoint, found.commit, files, found.licence, missing)


def fetch(chosen: Plan, *, use_token: bool = False, force: bool = False, quiet: bool = False) -> ModelSource:
    """Download what `chosen` lists and is not here, and verify it against the hub's hashes.

    Files that are whole stay; the hub's library begins anew with one that was coming when a process was ended, so what
    lies about of it goes. A connection that breaks is taken up where it broke.

    Raises InklingError as `plan`, and `weights-corrupt` when what arrived is not what was published.
    """
    parsed = hub_cache.parse_hub_id(chosen.id)
    assert parsed is not None
    repo, revision = parsed
    with _explained(chosen.id, chosen.endpoint):
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

        (disable_progress_bars if quiet else enable_progress_bars)()
        _drop_old_parts(repo)
        snapshot_download(
            repo,
            revision=chosen.commit,  # what was consented to, even if the branch has moved since
            cache_dir=hub_cache.cache_folder(),
            endpoint=chosen.endpoint,
            allow_patterns=list(chosen.files),
            token=use_token,
            force_download=force,
        )
        _point(repo, revision, chosen.commit)
    return verify(chosen.id)


def bytes_here(chosen: Plan) -> int:
    """How much of it lies in the cache, whole files and parts. What other revisions brought counts as here, too."""
    repo, _ = hub_cache.parse_hub_id(chosen.id) or ("", "")
    sizes = 0
    for blob in (hub_cache.repository_folder(repo) / "blobs").glob("*"):
        with suppress(FileNotFoundError):  # a part that has just become a file
            sizes += blob.stat().st_size
    return min(sizes, chosen.bytes)


def _drop_old_parts(repo: str) -> None:
    """Delete parts of files that nobody has written to for a while."""
    for part in (hub_cache.repository_folder(repo) / "blobs").glob("*.incomplete"):
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > _FORGOTTEN_S:
                part.unlink()


def _point(repo: str, revision: str, commit: str) -> None:
    """Have the branch or tag name the commit in the cache, which the hub's library does only when asked for it."""
    if revision != commit:
        path = hub_cache.repository_folder(repo) / "refs" / revision
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit, "ascii")


def _endpoint(given: str | None) -> str:
    url = (given or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if not re.match(r"https://|http://(127\.0\.0\.1|localhost|\[::1\])(:|/|$)", url):
        raise InklingError("bad-endpoint", f"{url[:96]} is not a safe address for a hub.", "Use https://.")
    return url


def _check_weights(model_id: str, sizes: dict[str, int], files: dict[str, int]) -> None:
    if any(name.endswith(".safetensors") for name in files):
        if "config.json" not in files:
            raise InklingError("weights-missing", f"{model_id} has no config.json.", "Choose a transformers model.")
        return
    pickles = [name for name in sizes if name.endswith(PICKLES)]
    if pickles:
        raise InklingError(
            "pickle-only",
            f"{model_id} comes as {pickles[0]} only, a format that can execute code when it is read.",
            "Choose a model or a revision with safetensors; `inkling models recommend` names some.",
        )
    kinds = sorted({name.rpartition(".")[2] for name in sizes if "." in name})[:6]
    raise InklingError(
        "weights-missing",
        f"{model_id} has no model.safetensors (its files: {', '.join(kinds) or 'none'}).",
        "Choose a transformers model with safetensors; many GGUF models are published in that form too.",
    )


def _check_code(found: Plan, repo: str, use_token: bool) -> None:
    """Fetch the two small files that can ask for code, and refuse the model when they do."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from inkling.engine.models.model_files import check_no_code

    disable_progress_bars()
    for name in ("config.json", "tokenizer_config.json"):
        if name in found.files:
            path = hf_hub_download(
                repo,
                name,
                revision=found.commit,
                cache_dir=hub_cache.cache_folder(),
                endpoint=found.endpoint,
                token=use_token,
            )
            check_no_code(path, found.id)


def _is_here(repo: str, commit: str, name: str) -> bool:
    return (hub_cache.repository_folder(repo) / "snapshots" / commit / name).is_file()


def _licence(info: Any) -> str:
    card = info.card_data
    licence = card.get("license") if card is not None else None
    if isinstance(licence, str):
        return licence
    tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    return tags[0] if tags else ""


@contextmanager
def _explained(model_id: str, endpoint: str) -> Iterator[None]:
    """The hub library's errors in words for the user."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise InklingError(
            "offline", f"HF_HUB_OFFLINE is set, so {model_id} was not looked for.", "Unset it to download models."
        )
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise InklingError(
            "no-access",
            f"{model_id} is given only to those who have accepted its terms.",
            f"Accept them at {endpoint}/{model_id}, run `hf auth login`, and pull with --token.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InklingError(
            "model-not-found", f"{model_id} has no such revision.", "Leave out the @revision."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InklingError(
            "model-not-found",
            f"{endpoint} has no public model {model_id}.",
            "Check its name; for a private one run `hf auth login` and pull with --token.",
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "?")
        raise InklingError(
            "hub-error", f"{endpoint} answered with HTTP status {status} for {model_id}.", "Try again later."
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise _offline(model_id, endpoint) from error
    except OSError as error:
        if error.errno == 28:
            raise InklingError(
                "disk-full",
                f"The disk is full at {hub_cache.cache_folder()}; whole files of {model_id} are kept.",
                "Free some space and pull again.",
            ) from error
        if isinstance(error.strerror, str):
            raise InklingError(
                "cache-unwritable",
                f"{hub_cache.cache_folder()} cannot be written: {error.strerror}.",
                "Set HF_HOME to a folder of yours.",
            ) from error
        raise _offline(model_id, endpoint) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2"):
            raise _offline(model_id, endpoint) from error
        raise


def _offline(model_id: str, endpoint: str) -> InklingError:
    return InklingError(
        "offline",
        f"{endpoint} cannot be reached, so {model_id} was not downloaded.",
        "Check the connection (proxy: HTTPS_PROXY, own certificates: SSL_CERT_FILE) and pull again; what came is kept.",
    )
