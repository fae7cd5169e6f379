"""What is wrong with predicted entities, pair by pair, for somebody who wants to read the mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hf_ext.models.tag_schemes import Entity

MISSED, SPURIOUS = "missed", "spurious"
WRONG_TYPE, WRONG_BOUNDARY = "wrong type", "wrong boundary"


class EntityError(NamedTuple):
    """One mistake: ``gold`` is None if it is spurious, ``predicted`` is None if it is missed."""

    kind: str
    gold: Entity | None
    predicted: Entity | None


def find_errors(gold: Sequence[Entity], predicted: Sequence[Entity]) -> list[EntityError]:
    """Pair the entities of a sentence that were not found with those that should not have been, in order of place.

    Right entities are left out. Of the others, two with the same words are ``wrong type``; then two of the same type
    that share words are ``wrong boundary``, those that share most words first. What is left is ``missed`` or
    ``spurious``: also where both type and boundary differ, which thus gives two mistakes. Each entity is in one
    mistake, so that missed + wrong type + wrong boundary are the true entities that recall lacks, and with spurious in
    place of missed the predicted ones that precision lacks.

    Args:
        gold: True entities of the sentence.
        predicted: Predicted entities of the sentence.
    """
    right = set(gold) & set(predicted)
    lost = [entity for entity in gold if entity not in right]
    extra = [entity for entity in predicted if entity not in right]
    errors = []
    pairs = [(WRONG_TYPE, a, b) for a in lost for b in extra if a[1:] == b[1:]]
    overlaps = [(a, b) for a in lost for b in extra if a.type == b.type and _shared(a, b) > 0]
    overlaps.sort(key=lambda pair: (-_shared(*pair), pair[0].start, pair[1].start))
    for kind, a, b in pairs + [(WRONG_BOUNDARY, a, b) for a, b in overlaps]:
        if a in lost and b in extra:
            errors.append(EntityError(kind, a, b))
            lost.remove(a)
            extra.remove(b)
    errors += [EntityError(MISSED, entity, None) for entity in lost]
    errors += [EntityError(SPURIOUS, None, entity) for entity in extra]
    return sorted(errors, key=_place)


def _shared(a: Entity, b: Entity) -> int:
    """Count the words that two entities share; not positive without any."""
    return min(a.end, b.end) - max(a.start, b.start)


def _place(error: EntityError) -> tuple[int, int, bool]:
    entity = error.gold or error.predicted
    return (entity.start, entity.end, error.gold is None) if entity else (0, 0, False)
