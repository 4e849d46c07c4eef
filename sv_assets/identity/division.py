"""Division: which records of a component are one person. A pure function of the records, their links and human decisions.

Links are followed from the strongest to the weakest. Before one joins two groups, guards look at both groups whole:

| guard       | stops a link that …                                                                              |
|-------------|--------------------------------------------------------------------------------------------------|
| human       | would join two records that somebody has decided are not one person                             |
| conflict    | would join people whose first names, titles or birth dates differ: a household, not a person     |
| name_alone  | rests on names alone and weighs less than such links must                                        |
| ambiguous   | is not strong, while another group, which is someone else, is as near                            |
| bridge      | is not strong, and the only one between two groups of several records                            |
| size        | is not strong, and would make a group larger than a person has records                          |

What a human decided, and what a source says itself, is followed past all guards but the human one. Conflict, name_alone
and ambiguous work where the model has found households in the data: elsewhere its weights already say all there is.
What a guard stopped and nothing else joined is told (`Stopped`), and so is a group held together by too few links.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from rapidfuzz.distance import OSA, JaroWinkler

from sv_assets.identity import normalise
from sv_assets.identity.settings import IdentitySettings
from sv_assets.mongo import Document

Guard = Literal["human", "conflict", "name_alone", "ambiguous", "bridge", "size", "density"]
CERTAIN = 100.0
"""The weight of a link that needs no model: given by the source, or by a human."""
DECIDED = "decided_by_human"
GIVEN = "given_by_source"
IDENTICAL = "identical"
QUOTED = "quoted_order"
MODEL = "model"
TOLD = frozenset({DECIDED, GIVEN})
DENSE_UP_TO = 10


class Link(NamedTuple):
    """Two records that may be one person, `a < b`. `reason` is a rule's name, or `model`."""

    a: str
    b: str
    weight: float
    reason: str
    name_alone: bool = False
    conflict: str | None = None


class Profile(NamedTuple):
    """What of a record can contradict another one: empty texts say nothing."""

    first: str
    last: str
    gender: str
    born: str
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """A link that was not followed, or (`density`) a group that holds together badly."""

    guard: Guard
    records: tuple[str, ...]
    weight: float
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Division:
    """The groups, each sorted, in order of their first records; and what guards stopped."""

    groups: list[list[str]]
    stopped: list[Stopped]


def profile_of(form: Document) -> Profile:
    """The profile of a record with this compared form."""
    return Profile(
        form.get("first") or "",
        form.get("last") or "",
        form.get("gender") or "",
        form.get("born") or "",
        tuple(form.get("given", ())[1:]) + tuple(form.get("others", ())),
    )


@lru_cache(maxsize=200_000)
def contradictions(a: Profile, b: Profile) -> frozenset[str]:
    """Why two records cannot be one person: `first_name`, `title`, `birth_date`; empty if nothing speaks against it."""
    found = set()
    if a.first and b.first and not _same_first_name(a, b):
        found.add("first_name")
    if a.gender and b.gender and a.gender != b.gender:
        found.add("title")
    if a.born and b.born and not _same_birth_date(a.born, b.born):
        found.add("birth_date")
    return frozenset(found)


def divide(
    profiles: Mapping[str, Profile],
    links: Iterable[Link],
    settings: IdentitySettings,
    *,
    households: bool,
    apart: Iterable[tuple[str, str]] = (),
) -> Division:
    """Divide records into groups. Records without links are groups of their own; `apart` must not come together."""
    return _Divider(profiles, settings, households, apart).divide(links)


class _Divider:
    """The groups as they grow: a forest of records, whose roots stand for the groups."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        settings: IdentitySettings,
        households: bool,
        apart: Iterable[tuple[str, str]],
    ) -> None:
        self.settings = settings
        self.households = households
        self.parent = {record: record for record in profiles}
        self.members: dict[str, list[str]] = {record: [record] for record in profiles}
        # One set a group; several where a human or a source has made one person of profiles that contradict each other.
        self.profiles: dict[str, list[set[Profile]]] = {record: [{profile}] for record, profile in profiles.items()}
        self.apart: dict[str, set[str]] = defaultdict(set)
        for a, b in apart:
            if a in self.parent and b in self.parent:
                self.apart[a].add(b)
                self.apart[b].add(a)
        self.near: dict[str, list[Link]] = defaultdict(list)

    def divide(self, links: Iterable[Link]) -> Division:
        usable = sorted(
            (link for link in links if link.a in self.parent and link.b in self.parent),
            key=lambda link: (link.reason != DECIDED, -link.weight, link.a, link.b),
        )
        for link in usable:
            if link.conflict is None:
                self.near[link.a].append(link)
                self.near[link.b].append(link)
        stopped: list[tuple[Link, Guard, str]] = []
        for link in usable:
            a, b = self.root(link.a), self.root(link.b)
            if a == b:
                continue
            found = self.guard(link, a, b)
            if found is None:
                self.join(a, b, told=link.reason in TOLD)
            else:
                stopped.append((link, *found))
        told = [
            Stopped(guard, (link.a, link.b), link.weight, link.reason, detail)
            for link, guard, detail in stopped
            if guard != "human" and self.root(link.a) != self.root(link.b)
        ]
        groups = sorted(sorted(group) for group in self.members.values())
        return Division(groups, told + self.sparse(groups, usable))

    def root(self, record: str) -> str:
        while self.parent[record] != record:
            self.parent[record] = record = self.parent[self.parent[record]]
        return record

    def join(self, a: str, b: str, *, told: bool) -> None:
        if len(self.members[a]) < len(self.members[b]):
            a, b = b, a
        self.parent[b] = a
        self.members[a] += self.members.pop(b)
        self.profiles[a] = self.together(self.profiles[a], self.profiles.pop(b), told=told)
        if b in self.apart:
            self.apart[a] |= self.apart.pop(b)

    def guard(self, link: Link, a: str, b: str) -> tuple[Guard, str] | None:
        """The guard that stops the link between the groups `a` and `b`, and what it saw."""
        if any(self.root(other) == b for other in self.apart.get(a, ())):
            return "human", ""
        if link.reason in TOLD:
            return None
        strong = link.weight >= self.settings.strong
        if self.households:
            if conflict := link.conflict or self.conflict(a, b):
                return "conflict", conflict
            if link.name_alone and link.weight < self.settings.name_alone:
                return "name_alone", ""
            if not strong and self.is_ambiguous(link, a, b):
                return "ambiguous", ""
        if not strong:
            sizes = len(self.members[a]), len(self.members[b])
            if min(sizes) >= self.settings.guards.bridge and self.links_between(a, b) < 2:
                return "bridge", ""
            if sum(sizes) > self.settings.guards.cluster_size:
                return "size", f"{sum(sizes)} records"
        return None

    def together(self, one: list[set[Profile]], other: list[set[Profile]], *, told: bool) -> list[set[Profile]]:
        if len(one) == len(other) == 1 and not (told and self.contradicts(one[0], other[0])):
            return [one[0] | other[0]]
        for profiles in other:
            alike = next((known for known in one if not self.contradicts(known, profiles)), None)
            if alike is None:
                one.append(profiles)
            else:
                alike |= profiles
        return one

    def conflict(self, a: str, b: str) -> str | None:
        """What tells two groups apart; None if they go together, or if one is of several profiles, with one of those."""
        found = [self.contradicts(one, other) for one in self.profiles[a] for other in self.profiles[b]]
        return found[0] if all(found) else None

    def contradicts(self, one: Iterable[Profile], other: Iterable[Profile]) -> str | None:
        wanted = self.settings.guards.conflicts
        found = frozenset[str]().union(*(contradictions(x, y) for x in one for y in other))
        return next((name for name in wanted if name in found), None)

    def is_ambiguous(self, link: Link, a: str, b: str) -> bool:
        """True if one of the groups could as well go to a third, which the other one does not belong to."""
        return self.has_rival(link, a, b) or self.has_rival(link, b, a)

    def has_rival(self, link: Link, group: str, other: str) -> bool:
        for record in self.members[group]:
            for rival in self.near[record]:
                if rival.weight < link.weight - self.settings.margin:
                    break  # they come in order of weight
                third = self.root(rival.b if rival.a == record else rival.a)
                if third in (group, other) or self.conflict(third, group):
                    continue
                if not self.links_between(third, other) or self.conflict(third, other):
                    return True
        return False

    def links_between(self, a: str, b: str) -> int:
        """How many links there are between two groups; counts to 2."""
        if len(self.members[a]) > len(self.members[b]):
            a, b = b, a
        count = 0
        for record in self.members[a]:
            for link in self.near[record]:
                if self.root(link.b if link.a == record else link.a) == b:
                    count += 1
                    if count == 2:
                        return count
        return count

    def sparse(self, groups: Sequence[Sequence[str]], links: Iterable[Link]) -> list[Stopped]:
        """Large groups with few of the links that they could have."""
        large = {group[0]: group for group in groups if len(group) > DENSE_UP_TO}
        if not large:
            return []
        first = {record: group[0] for group in large.values() for record in group}
        inside: dict[str, int] = defaultdict(int)
        repeated: dict[str, int] = defaultdict(int)
        for link in links:
            if link.a in first and first[link.a] == first.get(link.b):
                (repeated if link.reason == IDENTICAL else inside)[first[link.a]] += 1
        found = []
        for name, group in large.items():
            different = len(group) - repeated[name]
            density = inside[name] / (different * (different - 1) / 2) if different > 1 else 1.0
            if different > DENSE_UP_TO and density < self.settings.guards.density:
                found.append(Stopped("density", tuple(group[:20]), density, MODEL, f"{len(group)} records"))
        return found


def _same_first_name(a: Profile, b: Profile) -> bool:
    x, y = a.first, b.first
    return (
        normalise.same_first_name(x, y)
        or JaroWinkler.similarity(x, y) >= 0.8
        or x.startswith(y)
        or y.startswith(x)
        or (min(len(x), len(y)) > 2 and OSA.distance(x, y) <= 1)
        or y in a.given
        or x in b.given
        or bool(set(a.given) & set(b.given))
        or (x == b.last or y == a.last)
    )


def _same_birth_date(a: str, b: str) -> bool:
    if a == b or a.endswith("-01-01") or b.endswith("-01-01"):
        return True
    parts = sum(x == y for x, y in zip(a.split("-"), b.split("-"), strict=True))
    swapped = a[:4] == b[:4] and a[5:7] == b[8:] and a[8:] == b[5:7]
    return parts >= 2 or swapped or OSA.distance(a, b) <= 2
