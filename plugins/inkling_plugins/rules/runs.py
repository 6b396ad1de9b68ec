"""Rules carried out when the user asks: results shown or put into the document, answers opened, words chosen."""

from __future__ import annotations

import contextlib

from inkling.api import (
    Edit,
    Editor,
    Engine,
    GenerateRequest,
    InklingError,
    Position,
    Priority,
    Range,
    Snapshot,
)
from inkling_plugins.rules.message import fill
from inkling_plugins.rules.present import score_table
from inkling_plugins.rules.reader import ask
from inkling_plugins.rules.rule import READS, Rule
from inkling_plugins.rules.units import LONGEST
from inkling_plugins.writing import generated, show

_CONTEXT = 400
"""Characters on each side of a word that fill-mask reads."""


async def run(engine: Engine, editor: Editor, rule: Rule, snapshot: Snapshot, range: Range | None) -> str:
    """Carry a rule out on the range, or on the whole document; returns what was found or written."""
    if rule.task == "fill-mask":
        return await _better_word(engine, editor, rule, snapshot, range)
    whole = range is None or range.is_empty
    place = snapshot.range(0, len(snapshot)) if whole or range is None else range
    text = snapshot.text_in(place)
    if not text.strip():
        raise InklingError("nothing-to-read", f"{rule.name}: there is no text here.", "Select some text.")
    if len(text) > LONGEST:
        raise InklingError(
            "too-large", f"{rule.name}: {len(text):,} characters are too many at once ({LONGEST:,}).", "Select a part."
        )
    if rule.task in READS:
        return await _scores(engine, editor, rule, text)
    if rule.task == "question-answering":
        return await _answer(engine, editor, rule, snapshot, place, text)
    if rule.task == "text-generation":
        return await _generate(engine, editor, rule, snapshot, place, text)
    if rule.task not in ("summarization", "translation"):
        raise InklingError(
            "not-run",
            f"{rule.name}: {rule.task} finds texts that resemble each other, which shows in the document itself.",
            'Set its `when` to "demand" to have it look only when it is run.',
        )
    async with editor.progress(rule.title or rule.name):
        if rule.task == "summarization":
            made = (await engine.summarize(text, model=rule.model_id, max_tokens=rule.max_tokens)).text
        else:
            source, target = rule.source_language, rule.target_language
            made = await engine.translate(text, model=rule.model_id, source=source, target=target)
    await _put(editor, rule, snapshot, place, made)
    return made


async def _scores(engine: Engine, editor: Editor, rule: Rule, text: str) -> str:
    (reading,) = await ask(engine, rule, [text], Priority.ACTION)
    if not reading:
        return f"{rule.name}: nothing found."
    rows = [(item.label, item.score) for item in reading]
    await editor.show_text(rule.title or rule.name, f"# {rule.title or rule.name}\n\n{score_table(rows)}\n")
    return f"{rule.name}: " + ", ".join(f"{label} {score:.0%}" for label, score in rows[:5])


async def _answer(engine: Engine, editor: Editor, rule: Rule, snapshot: Snapshot, place: Range, text: str) -> str:
    answers = await engine.answer(rule.question, text, model=rule.model_id)
    best = next((answer for answer in answers if answer.text.strip() and answer.score >= rule.threshold), None)
    if best is None:
        return f"{rule.name}: this text does not say (nothing above {rule.threshold:.0%})."
    base = snapshot.offset(place.start)
    await editor.open(snapshot.uri, snapshot.range(base + best.start, base + best.end))
    return f"{best.text} ({best.score:.0%})"


async def _generate(engine: Engine, editor: Editor, rule: Rule, snapshot: Snapshot, place: Range, text: str) -> str:
    prompt = fill(rule.prompt, selection=text, language=snapshot.language, file=snapshot.uri.rpartition("/")[2])
    request = GenerateRequest(rule.model_id, prompt=prompt, max_tokens=rule.max_tokens, priority=Priority.ACTION)
    nothing = InklingError("empty-output", f"{rule.name}: {rule.model_id} wrote nothing.", "Word its prompt otherwise.")
    if rule.output == "show":
        made = await show(editor, generated(engine, request), rule.title or rule.name)
        if not made:
            raise nothing
        return made
    async with editor.progress(rule.title or rule.name), contextlib.aclosing(engine.generate(request)) as chunks:
        if rule.output in ("above", "below"):
            at, before, after = _beside(snapshot, place, rule.output)
            pieces: list[str] = []
            async with editor.stream(snapshot, at, rule.title or rule.name) as stream:
                await stream.write(before)
                async for chunk in chunks:
                    pieces.append(chunk.text)
                    await stream.write(chunk.text)
                await stream.write(after)
            return "".join(pieces)
        made = "".join([chunk.text async for chunk in chunks]).strip()
    if not made:
        raise nothing
    await _put(editor, rule, snapshot, place, made)
    return made


async def _put(editor: Editor, rule: Rule, snapshot: Snapshot, place: Range, made: str) -> None:
    title = rule.title or rule.name
    if rule.output == "show":
        await editor.show_text(title, f"{made}\n")
        return
    text = made.replace("\n", snapshot.eol)
    if rule.output == "replace":
        edit = Edit(place, text)
    else:
        at, before, after = _beside(snapshot, place, rule.output)
        edit = Edit(Range(at, at), f"{before}{text}{after}")
    await editor.apply(snapshot, [edit], title)


def _beside(snapshot: Snapshot, place: Range, where: str) -> tuple[Position, str, str]:
    """A position above or below whole lines, and the line ends that are missing there."""
    if where == "above":
        return Position(place.start.line, 0), "", snapshot.eol
    last = place.end.line - (place.end.character == 0 and place.end.line > place.start.line)
    return snapshot.line_range(last).end, snapshot.eol, ""


async def _better_word(engine: Engine, editor: Editor, rule: Rule, snapshot: Snapshot, range: Range | None) -> str:
    word = None if range is None else (snapshot.word_at(range.start) if range.is_empty else range)
    if word is None:
        raise InklingError("no-word", f"{rule.name}: there is no word here.", "Put the cursor into one.")
    start, end = snapshot.offset(word.start), snapshot.offset(word.end)
    before, after = snapshot.slice(start - _CONTEXT, start), snapshot.slice(end, end + _CONTEXT)
    fills = await engine.fill_mask(f"{before}[MASK]{after}", model=rule.model_id)
    old = snapshot.slice(start, end)
    choices = [text for fill in fills if (text := fill.token.strip()) and text != old]
    if not choices:
        return f"{rule.name}: no other word fits."
    chosen = await editor.choose(f"In place of “{old}”", choices)
    if chosen is None:
        return f"{rule.name}: “{old}” stays."
    await editor.apply(snapshot, [Edit(word, chosen)], rule.title or rule.name)
    return chosen
