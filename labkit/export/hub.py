"""An adapter on the Hugging Face hub: PEFT's files, labkit.json, its history, and a card of where it came from."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, ModelCardData, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from labkit.base.locating import is_hub_id
from labkit.casting import is_finite
from labkit.errors import AdapterError, ConfigError, LabkitError, reason_of
from labkit.lora.base_form import form_needed
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, HISTORY_FILE, WEIGHTS_FILE, check_sums, read_about, read_config
from labkit.storage.untrusted import markdown, plain, read_json, read_weights
from labkit.training.history_file import history

CARD_FILE = "README.md"
_CARD = """\
# {name}

A LoRA adapter for {base}, made with labkit{task}. PEFT loads it: `PeftModel.from_pretrained(model, "{repo}")`.
{system}{form}{conversations}{scores}
## Recipe

{recipe}
"""


@dataclass(frozen=True)
class Upload:
    """What goes to the hub.

    Attributes:
        repo: where to, ``user/name``.
        files: the content of each file, or where it lies.
    """

    repo: str
    files: dict[str, bytes | Path]

    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes."""
        return {name: len(it) if isinstance(it, bytes) else it.stat().st_size for name, it in self.files.items()}


def upload_of(adapter: Path | str, repo: str) -> Upload:
    """What :func:`push_adapter` would send of the adapter in a folder: everything is read and checked, nothing sent.

    The card is the folder's own README.md, if there's one, and else made of what ``labkit.json`` says.

    Raises:
        AdapterError: naming the file and what is wrong with it; one of them has a path of this machine, or something
            that looks like a token.
        ConfigError: `repo` is no ``user/name``.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError:
        repo = ""
    if "/" not in repo:
        raise ConfigError("say where to as user/name: letters, digits, -, _ and . only")
    folder = Path(adapter)
    read_config(folder)
    about, config = read_about(folder), read_json(folder / CONFIG_FILE)
    for key, tensor in read_weights(folder / WEIGHTS_FILE).items():
        if not is_finite(tensor.float()):
            raise AdapterError(f"{folder / WEIGHTS_FILE}: {plain(key)} holds NaN or infinite values")
    check_sums(folder, about)
    base = config.get("base_model_name_or_path") or (about.get("base") or {}).get("name")
    if base is not None and (not is_hub_id(base) or os.path.exists(base)):
        raise AdapterError(
            f"{folder / CONFIG_FILE}: base_model_name_or_path is {plain(base)}, and others can't load that. Put the "
            "base's hub id (org/name) there"
        )
    own = folder / CARD_FILE
    text = own.read_text("utf-8", errors="replace") if own.is_file() else _card(repo, base, about)
    if not text.startswith("---\n"):
        text = f"---\n{_facts(base)}\n---\n\n{text}"
    names = [CONFIG_FILE, *([ABOUT_FILE] if about else []), WEIGHTS_FILE]
    if (folder / HISTORY_FILE).exists():
        history(folder)  # so that nothing else goes under its name
        names.insert(-1, HISTORY_FILE)
    files: dict[str, bytes | Path] = {CARD_FILE: text.encode(), **{name: folder / name for name in names}}
    for name, content in files.items():
        if name != WEIGHTS_FILE:
            read = content if isinstance(content, bytes) else content.read_bytes()
            if re.search(rb"hf_[A-Za-z0-9]{20}", read):
                raise AdapterError(f"{folder / name}: something in it looks like a token. Take it out first")
    return Upload(repo, files)


def push_adapter(adapter: Path | str, repo: str, *, public: bool = False) -> str:
    """Put the adapter in a folder on the Hugging Face hub, in one commit. A new repository is private.

    The token is the one that ``hf auth login`` stored, or ``HF_TOKEN``; it goes into no file.

    Args:
        adapter: a folder written by :func:`labkit.save_adapter` or by PEFT.
        repo: where to, ``user/name``; made if need be.
        public: whether everybody may read it.

    Returns:
        Its address.

    Raises:
        AdapterError, ConfigError: as :func:`upload_of` does; a repository that's there is public, and `public` isn't
            said.
        LabkitError: there's no token, no connection, or the hub refuses.
    """
    upload, api = upload_of(adapter, repo), HfApi()
    if get_token() is None:
        raise LabkitError("there's no Hugging Face token here. Log in once with: hf auth login (or set HF_TOKEN)")
    try:
        address = str(api.create_repo(repo, private=not public, exist_ok=True))
        if not public and not api.model_info(repo).private:
            raise ConfigError(f"{repo} is public on the hub: everybody could read this. If that's meant, public=True")
        operations = [CommitOperationAdd(name, content) for name, content in upload.files.items()]
        api.create_commit(repo, operations, commit_message="An adapter from labkit")
    except LabkitError:
        raise
    except Exception as error:  # what the hub's client raises for a lost connection is of many kinds
        raise LabkitError(
            f"the hub can't be reached, or refuses ({plain(reason_of(error))}). Check the name, the token's rights, "
            "the network"
        ) from error
    return address


def _facts(base: str | None) -> str:
    """What the hub reads of a card: YAML."""
    return ModelCardData(
        base_model=base, library_name="peft", pipeline_tag="text-generation", tags=["lora", "labkit"]
    ).to_yaml()


def _card(repo: str, base: str | None, about: Mapping) -> str:
    """A card of what ``labkit.json`` says. It may be a stranger's: it's no markup here."""
    for part in ("recipe", "scores", "base_scores"):
        if not isinstance(about.get(part) or {}, Mapping):
            raise AdapterError(f"{ABOUT_FILE}: {part!r} must be a JSON object, found {type(about[part]).__name__}")
    task, system, recipe = about.get("task"), about.get("system"), about.get("recipe")
    form, remembers = form_needed(about), about.get("conversations") is True
    steps = [f"- {markdown(part)}: {_settings(of)}" for part, of in (recipe or {}).items()]
    return _CARD.format(
        name=repo.rpartition("/")[2],
        base=base or "a base that isn't named",
        task=f" for the task “{markdown(task)}”" if task else "",
        repo=repo,
        system=f"\nIt was trained with the system prompt “{markdown(system)}”: ask with that one.\n" if system else "",
        form=f"\nThe base was {markdown(form)}: load it so.\n" if form and form.quantization else "",
        conversations="\nIt learned conversations: give it what was said before.\n" if remembers else "",
        scores=_scores(about),
        recipe="\n".join(steps) or "Not recorded.",
    )


def _settings(given: object) -> str:
    """The settings of one part of a recipe, without those that say nothing."""
    if not isinstance(given, Mapping):
        return markdown(given)
    said = (f"{name} {value}" for name, value in given.items() if value or (value == 0 and value is not False))
    return ", ".join(map(markdown, said))


def _scores(about: Mapping) -> str:
    """A table of the scores, beside those of the base alone where they're known."""
    scores, alone, rows = about.get("scores") or {}, about.get("base_scores") or {}, about.get("test_rows")
    if not scores:
        return ""
    lines = [f"\n| {f'on {markdown(rows)} test rows' if rows else 'score'} | this adapter | the base alone |"]
    lines += ["|---|---|---|"]
    lines += [f"| {markdown(name)} | {_score(score)} | {_score(alone.get(name))} |" for name, score in scores.items()]
    return "\n".join([*lines, "", "Mean, and 95 % bootstrap interval.", ""])


def _score(score: object) -> str:
    try:
        mean, low, high = (float(score[part]) for part in ("mean", "low", "high"))
    except (TypeError, KeyError, ValueError):
        return "–"
    return f"{100 * mean:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
