"""A document under a rule, edit by edit: what is carried over is what would be made anew."""

from __future__ import annotations

import random

import pytest

from inkling.api import Label, Severity, Snapshot
from inkling_plugins.rules.findings import Findings, Ranking, gravest, touching
from inkling_plugins.rules.judge import Reading
from inkling_plugins.rules.present import Drawn, diagnostics
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.sheet import Sheet
from inkling_plugins.rules.units import places_in

RULE = Rule(name="tone", labels={"hostile": "warning", "kind": "hint"}, max_results=5)


def readings(sheet: Sheet) -> dict[bytes, Reading]:
    """A reading of every text of a sheet, by the text alone."""
    found: dict[bytes, Reading] = {}
    for note in sheet.notes:
        for part in note.parts:
            chance = random.Random(part.text)
            label = chance.choice(["hostile", "kind", "neutral"])
            found[part.key] = (Label(label, chance.choice([0.4, 0.6, 0.9])), Label("other", 0.1))
    return found


def settled(sheet: Sheet) -> list[tuple[object, ...]]:
    """What the notes of a sheet say."""
    known = readings(sheet)
    return [tuple((m.label, m.score, m.start, m.end) for m in note.settle(RULE, known.get)) for note in sheet.notes]


def document(paragraphs: list[str], version: int = 0) -> Snapshot:
    """A plain text of these paragraphs."""
    return Snapshot.of("\n\n".join(paragraphs), uri="file:///a.txt", version=version)


def paragraph(number: int) -> str:
    """A paragraph of its own, now and then one that occurs again."""
    return f"Sentence {number % 23} is the first one. And number {number % 23} is the second."


@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_a_sheet_and_its_ranking_are_as_if_made_anew(seed: int) -> None:
    chance = random.Random(seed)
    paragraphs = [paragraph(number) for number in range(30)]
    sheet, ranking = Sheet(RULE, "w"), Ranking(RULE)
    for version in range(60):
        at, width = chance.randrange(len(paragraphs) + 1), chance.randrange(3)
        paragraphs[at : at + width] = [paragraph(chance.randrange(99)) for _ in range(chance.randrange(3))]
        if chance.random() < 0.1:
            chance.shuffle(paragraphs)
        paragraphs = paragraphs or [paragraph(0)]
        segments = places_in(document(paragraphs, version), RULE)
        sheet, anew = sheet.followed_by(segments), Sheet(RULE, "w").followed_by(segments)
        assert settled(sheet) == settled(anew) and sheet.units == anew.units
        ranking.follow(sheet.notes)
        found = list(Findings(RULE, sheet.segments, [note.marks or () for note in sheet.notes]))
        one, other = ranking.choose(sheet, 5), gravest(found, 5)
        weights = [sorted((RULE.level(f.mark.label), f.mark.score) for f in chosen.shown) for chosen in (one, other)]
        assert weights[0] == weights[1] and one.hidden == other.hidden
        assert [f.start for f in one.shown] == sorted(f.start for f in one.shown)
        assert (one.first is None) == (other.first is None)


def test_an_edit_makes_the_notes_of_what_it_changed_alone() -> None:
    paragraphs = [f"Paragraph {number} has some words." for number in range(50)]
    sheet = Sheet(RULE, "w").followed_by(places_in(document(paragraphs), RULE))
    paragraphs[20] = "Something else is here now."
    again = sheet.followed_by(places_in(document(paragraphs, 1), RULE))
    kept = [one is other for one, other in zip(sheet.notes, again.notes, strict=True)]
    assert [at for at, same in enumerate(kept) if not same] == [20]
    paragraphs.insert(3, paragraphs.pop(40))
    moved = again.followed_by(places_in(document(paragraphs, 2), RULE))
    assert set(moved.notes) == set(again.notes)


def test_findings_near_a_place_are_those_of_the_whole_list() -> None:
    paragraphs = [paragraph(number) for number in range(23)]
    sheet = Sheet(RULE, "w").followed_by(places_in(document(paragraphs), RULE))
    settled(sheet)
    found = Findings(RULE, sheet.segments, [note.marks or () for note in sheet.notes])
    everything = list(found)
    assert everything
    end = len(document(paragraphs))
    for start in range(0, end, 7):
        near = [(f.start, f.mark.label) for f in touching(found, start, start + 30)]
        assert near == [(f.start, f.mark.label) for f in touching(everything, start, start + 30)]


def test_a_diagnostic_that_did_not_move_is_the_same_object_and_one_that_did_is_not() -> None:
    first = document(["A first sentence is here.", "The second sentence is here."])
    sheet = Sheet(RULE, "w").followed_by(places_in(first, RULE))
    known = {part.key: (Label("hostile", 0.9),) for note in sheet.notes for part in note.parts}
    drawn = Drawn()

    def drawn_for(snapshot: Snapshot, sheet: Sheet) -> list[object]:
        marks = [note.settle(RULE, known.get) for note in sheet.notes]
        return list(diagnostics(snapshot, RULE, Findings(RULE, sheet.segments, marks), drawn=drawn))

    before = drawn_for(first, sheet)
    assert len(before) == 2
    second = document(["A first sentence is there.", "The second sentence is here."], 1)
    sheet = sheet.followed_by(places_in(second, RULE))
    known |= {part.key: (Label("hostile", 0.8),) for note in sheet.notes[:1] for part in note.parts}
    after = drawn_for(second, sheet)
    assert after[1] is before[1] and after[0] is not before[0]
    third = document(["A first sentence is there.", "", "The second sentence is here."], 2)
    moved = drawn_for(third, sheet.followed_by(places_in(third, RULE)))
    assert moved[1] is not before[1] and moved[1].range.start.line == 4  # type: ignore[attr-defined]
    assert moved[1].severity is Severity.WARNING  # type: ignore[attr-defined]
