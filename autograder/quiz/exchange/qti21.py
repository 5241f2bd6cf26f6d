"""QTI 2.1 in a zip: a manifest, a test for each quiz, and a file for each item with feedback for each choice.

Texts are XHTML, formulas in them stay TeX between `\\(` and `\\)`. QTI 2.1 has no attribute for a text's direction, so
Unicode's isolates hold right-to-left text and the formulas in it together.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, SubElement

from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.exchange.qti12 import called, children, finite, first, identifier, local, package, text_of
from autograder.quiz.records import Choice, Item, Kind, Quiz

_QTI = "http://www.imsglobal.org/xsd/imsqti_v2p1"
_CP = "http://www.imsglobal.org/xsd/imscp_v1p1"
_LANG = "xml:lang"
_INTERACTIONS = {
    "choiceInteraction": Kind.SINGLE,
    "textEntryInteraction": Kind.SHORT,
    "extendedTextInteraction": None,
    "matchInteraction": Kind.MATCHING,
    "orderInteraction": Kind.ORDERING,
}
_KEPT = frozenset({"class", "href", "src", "alt", "start", "colspan", "rowspan"})


def write(drafts: Sequence[Draft]) -> Export:
    files: dict[str, str] = {}
    manifest, resources = package(_CP, "QTIv2.1 Package", "1.0.0")
    for draft in drafts:
        folder = identifier(f"{draft.quiz.name}_{draft.quiz.language}")
        test = SubElement(
            resources, "resource", identifier=folder, type="imsqti_test_xmlv2p1", href=f"{folder}/test.xml"
        )
        SubElement(test, "file", href=f"{folder}/test.xml")
        files[f"{folder}/test.xml"] = text_of(_test(draft, folder))
        for item in draft.quiz.items:
            name, path = f"{folder}_{identifier(item.id)}", f"{folder}/{identifier(item.id)}.xml"
            SubElement(test, "dependency", identifierref=name)
            resource = SubElement(resources, "resource", identifier=name, type="imsqti_item_xmlv2p1", href=path)
            SubElement(resource, "file", href=path)
            files[path] = text_of(_question(item, draft.quiz.language), pretty=False)
    ordering = any(item.kind is Kind.ORDERING for draft in drafts for item in draft.quiz.items)
    notes = ("an ordering question is marked right or wrong as a whole",) if ordering else ()
    return Export(limits.zipped({"imsmanifest.xml": text_of(manifest), **files}), {}, notes)


def read(data: bytes, name: str, language: str) -> Found:
    files = limits.unzip(data, name) if data[:2] == b"PK" else {name: data}
    trees = {path: limits.xml(each, path) for path, each in sorted(files.items())}
    items = {path: tree for path, tree in trees.items() if local(tree) == "assessmentItem"}
    tests = {path: tree for path, tree in trees.items() if local(tree) == "assessmentTest"}
    if not items:
        raise limits.UnreadableExchange(f"{name}: found no <assessmentItem>, expected some. Export as QTI 2.1.")
    warnings: list[tuple[str, str, str, str]] = []
    quizzes = []
    used: set[str] = set()
    for path, test in tests.items():
        inside = [path_in(path, each.get("href", "")) for each in children(test, "assessmentItemRef")]
        known = [each for each in inside if each in items]
        used.update(known)
        title = test.get("title") or called(test, "identifier")
        quiz = _quiz(test.get("identifier", ""), title, [(each, items[each]) for each in known], language, warnings)
        control = first(test, "itemSessionControl")
        attempts = control.get("maxAttempts", "0") if control is not None else "0"
        quizzes.append(replace(quiz, attempts=int(attempts) if attempts.isdigit() and len(attempts) < 6 else 0))
    if rest := [(path, tree) for path, tree in items.items() if path not in used]:
        title = name.rpartition("/")[2].rpartition(".")[0]
        quizzes.append(_quiz(title, title, rest, language, warnings))
    return Found(tuple(quizzes), tuple(warnings))


def path_in(base: str, reference: str) -> str:
    """Where a reference inside a package leads, as a name in it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), reference)).lstrip("/")


def _test(draft: Draft, folder: str) -> Element:
    root = Element("assessmentTest", identifier=folder, title=markup.legal(draft.quiz.title), xmlns=_QTI)
    part = SubElement(root, "testPart", identifier="part", navigationMode="nonlinear", submissionMode="simultaneous")
    SubElement(part, "itemSessionControl", maxAttempts=str(draft.quiz.attempts), showFeedback="true")
    title = markup.legal(draft.quiz.title)
    section = SubElement(part, "assessmentSection", identifier="section", title=title, visible="true")
    for number, (family, items) in enumerate(forms.groups(draft)):
        inside = section
        if family:
            name = f"group-{number}"
            inside = SubElement(section, "assessmentSection", identifier=name, title=family, visible="false")
            SubElement(inside, "selection", select="1")
        for item in items:
            name = identifier(item.id)
            SubElement(inside, "assessmentItemRef", identifier=name, href=f"{name}.xml")
    return root


def _question(item: Item, language: str) -> Element:
    root = Element("assessmentItem", identifier=identifier(item.id), title=item.id, adaptive="false", xmlns=_QTI)
    root.set("timeDependent", "false")
    root.set(_LANG, language)
    whys: dict[str, str] = {}
    if item.kind in (*forms.PICKED, *forms.TYPED):
        whys = {_id(number): each.why for number, each in enumerate(item.choices) if each.why}
    if item.why and item.kind in forms.TYPED:
        whys["unknown"] = item.why
    general = forms.remarks(item, language)
    _declare(root, item)
    _outcome(root, "SCORE", "single", "float", item.points)
    if whys:
        _outcome(root, "FEEDBACK", "multiple" if item.kind is Kind.MULTIPLE else "single", "identifier")
    if general:
        _outcome(root, "GENERAL", "single", "identifier")
    body = SubElement(root, "itemBody")
    _fill(SubElement(body, "div"), forms.asked(item, language))
    _interact(body, item, language)
    processing = SubElement(root, "responseProcessing")
    _process(processing, item, whys)
    if general:
        _set(processing, "GENERAL", "identifier", "general")
    for ident, why in whys.items():
        _feedback(root, "FEEDBACK", ident, markup.html(why, language))
    if general:
        _feedback(root, "GENERAL", "general", general)
    return root


def _declare(root: Element, item: Item) -> None:
    cardinalities = {Kind.MULTIPLE: "multiple", Kind.MATCHING: "multiple", Kind.ORDERING: "ordered"}
    types = {Kind.NUMERIC: "float", Kind.SHORT: "string", Kind.MATCHING: "directedPair"}
    declared = SubElement(root, "responseDeclaration", identifier="RESPONSE")
    declared.set("cardinality", cardinalities.get(item.kind, "single"))
    declared.set("baseType", types.get(item.kind, "identifier"))
    correct = SubElement(declared, "correctResponse")
    shares: list[tuple[str, float]] = []
    pairs = sum(bool(each.text) for each in item.choices)
    for number, each in enumerate(item.choices):
        key = _key(item, number, each)
        if each.right and key and (item.kind not in forms.TYPED or not len(correct)):
            SubElement(correct, "value").text = key
        share = 1 / pairs if item.kind is Kind.MATCHING else forms.own(item, each)
        if key and item.kind not in (Kind.NUMERIC, Kind.ORDERING) and share:
            shares.append((key, share))
    if not shares:
        return
    mapping = SubElement(declared, "mapping", defaultValue="0", lowerBound="0", upperBound=forms.digits(item.points))
    for key, share in shares:
        entry = SubElement(mapping, "mapEntry", mapKey=key, mappedValue=f"{share * item.points:.6g}")
        if item.kind is Kind.SHORT:
            entry.set("caseSensitive", "false")


def _key(item: Item, number: int, each: Choice) -> str:
    if item.kind is Kind.NUMERIC:
        return forms.digits(forms.value(each))
    if item.kind is Kind.SHORT:
        return markup.legal(each.text)
    if item.kind is Kind.MATCHING:
        return f"left-{number + 1} right-{number + 1}" if each.text else ""
    return _id(number)


def _outcome(root: Element, name: str, cardinality: str, kind: str, most: float | None = None) -> None:
    declared = SubElement(root, "outcomeDeclaration", identifier=name, cardinality=cardinality, baseType=kind)
    if most is not None:
        declared.set("normalMaximum", forms.digits(most))
        SubElement(SubElement(declared, "defaultValue"), "value").text = "0"


def _interact(body: Element, item: Item, language: str) -> None:
    if item.kind in forms.TYPED:
        inside = SubElement(SubElement(body, "div"), "textEntryInteraction", responseIdentifier="RESPONSE")
        inside.set("expectedLength", "20")
        return
    names = {Kind.MATCHING: "matchInteraction", Kind.ORDERING: "orderInteraction"}
    inside = SubElement(body, names.get(item.kind, "choiceInteraction"), responseIdentifier="RESPONSE")
    inside.set("shuffle", str(item.shuffle).lower())
    if item.kind is Kind.MATCHING:
        inside.set("maxAssociations", str(len(item.choices)))
        _sets(inside, item, language)
        return
    if item.kind is not Kind.ORDERING:
        inside.set("maxChoices", "1" if item.kind is Kind.SINGLE else "0")
    for number, each in enumerate(item.choices):
        _fill(SubElement(inside, "simpleChoice", identifier=_id(number)), markup.html(each.text, language))


def _sets(inside: Element, item: Item, language: str) -> None:
    for side in ("left", "right"):
        found = SubElement(inside, "simpleMatchSet")
        for number, each in enumerate(item.choices):
            text = each.text if side == "left" else each.match
            if text:
                ident = f"{side}-{number + 1}"
                entry = SubElement(found, "simpleAssociableChoice", identifier=ident, matchMax="1")
                _fill(entry, markup.html(text, language))


def _process(processing: Element, item: Item, whys: Mapping[str, str]) -> None:
    if item.kind in forms.TYPED:
        _chain(processing, item, whys)
        return
    if item.kind is Kind.ORDERING:
        case = SubElement(SubElement(processing, "responseCondition"), "responseIf")
        same = SubElement(case, "match")
        SubElement(same, "variable", identifier="RESPONSE")
        SubElement(same, "correct", identifier="RESPONSE")
        _set(case, "SCORE", "float", forms.digits(item.points))
    else:
        score = SubElement(processing, "setOutcomeValue", identifier="SCORE")
        SubElement(score, "mapResponse", identifier="RESPONSE")
    if whys:
        shown = SubElement(processing, "setOutcomeValue", identifier="FEEDBACK")
        SubElement(shown, "variable", identifier="RESPONSE")


def _chain(processing: Element, item: Item, whys: Mapping[str, str]) -> None:
    condition = SubElement(processing, "responseCondition")
    for number, each in enumerate(item.choices):
        case = SubElement(condition, "responseElseIf" if number else "responseIf")
        around = forms.around(each) if item.kind is Kind.NUMERIC else 0.0
        if item.kind is Kind.SHORT:
            same = SubElement(case, "stringMatch", caseSensitive="false")
        elif around:
            width = forms.digits(around)
            same = SubElement(case, "equal", toleranceMode="absolute", tolerance=f"{width} {width}")
        else:
            same = SubElement(case, "equal", toleranceMode="exact")
        SubElement(same, "variable", identifier="RESPONSE")
        SubElement(same, "baseValue", baseType="float" if item.kind is Kind.NUMERIC else "string").text = _key(
            item, number, each
        )
        _set(case, "SCORE", "float", forms.digits(each.credit * item.points))
        if _id(number) in whys:
            _set(case, "FEEDBACK", "identifier", _id(number))
    if "unknown" in whys:
        _set(SubElement(condition, "responseElse"), "FEEDBACK", "identifier", "unknown")


def _set(parent: Element, outcome: str, kind: str, value: str) -> None:
    found = SubElement(parent, "setOutcomeValue", identifier=outcome)
    SubElement(found, "baseValue", baseType=kind).text = value


def _feedback(root: Element, outcome: str, ident: str, text: str) -> None:
    found = SubElement(root, "modalFeedback", outcomeIdentifier=outcome, identifier=ident, showHide="show")
    _fill(found, text)


def _fill(parent: Element, text: str) -> None:
    """Put a piece of HTML into an element, as XHTML that QTI 2.1 allows."""
    _graft(parent, markup.fragment(text).children)


def _graft(parent: Element, nodes: Sequence[markup.Node]) -> None:
    last: Element | None = None
    for node in nodes:
        if not node.tag:
            last = _append(parent, last, node.text)
            continue
        last = SubElement(parent, node.tag, {key: value for key, value in node.attributes.items() if key in _KEPT})
        if said := node.attributes.get("lang"):
            last.set(_LANG, said)
        _graft(last, node.children)
        if node.attributes.get("dir"):
            _isolate(last, "\u2067" if node.attributes["dir"] == "rtl" else "\u2066")


def _append(parent: Element, last: Element | None, text: str) -> Element | None:
    if last is None:
        parent.text = (parent.text or "") + text
    else:
        last.tail = (last.tail or "") + text
    return last


def _isolate(node: Element, mark: str) -> None:
    """Hold the direction of each paragraph inside, where isolates end."""
    holders = [each for each in node.iter() if each.tag in ("p", "li", "td", "th")] or [node]
    for holder in holders:
        holder.text = mark + (holder.text or "")
        if len(holder):
            holder[-1].tail = (holder[-1].tail or "") + "\u2069"
        else:
            holder.text += "\u2069"


def _id(number: int) -> str:
    return f"choice-{number + 1}"


@dataclass(frozen=True, slots=True)
class _Answers:
    """What an item's declarations and feedback say, by the identifier of a choice, or by a typed answer."""

    correct: tuple[str, ...]
    shares: Mapping[str, float]
    feedback: Mapping[str, str]
    place: str


def _quiz(
    name: str,
    title: str,
    found: Sequence[tuple[str, Element]],
    language: str,
    warnings: list[tuple[str, str, str, str]],
) -> Quiz:
    said = next((each for each in map(_language, (tree for _, tree in found)) if each), "")
    name = forms.quiz_name(name.removesuffix(f"_{said}"), title)
    kept = []
    for path, tree in found:
        item = _item(tree, path)
        if item is None:
            warning = "a question with more or other interactions than a bank can hold."
            warnings.append((name, called(tree, "identifier"), "left-out", warning))
        else:
            kept.append((called(tree, "identifier"), item))
    ids = forms.ids(id_ for id_, _ in kept)
    items = tuple(replace(item, id=id_) for id_, (_, item) in zip(ids, kept, strict=True))
    return Quiz(name, title, language or said or "en", items)


def _language(tree: Element) -> str:
    said = next((value for key, value in tree.attrib.items() if key.endswith("}lang") or key == _LANG), "")
    return said or markup.language("".join(tree.itertext()))


def _item(tree: Element, place: str) -> Item | None:
    body = first(tree, "itemBody")
    found = [each for each in tree.iter() if local(each).endswith("Interaction")]
    if body is None or len(found) != 1 or _INTERACTIONS.get(local(found[0])) is None:
        return None
    interaction = found[0]
    declared = next(
        (
            each
            for each in children(tree, "responseDeclaration")
            if each.get("identifier") == interaction.get("responseIdentifier")
        ),
        None,
    )
    score = next((each for each in children(tree, "outcomeDeclaration") if each.get("identifier") == "SCORE"), None)
    most = score.get("normalMaximum") if score is not None else None
    points = finite(most, place) if most else 1.0
    kind = _kind(interaction, declared)
    answers = _answers(tree, declared, points or 1.0, place)
    text, unit = _asked(body, interaction)
    item = Item("", kind, text, (), "", "", points=points if points > 0 else 1.0, unit=unit)
    item = replace(item, shuffle=interaction.get("shuffle", "true" if kind in forms.TYPED else "false") == "true")
    if kind in forms.TYPED:
        unknown = answers.feedback.get("unknown", "")
        item = replace(item, choices=tuple(_typed(tree, kind, answers)), why=unknown)
    elif kind is Kind.MATCHING:
        item = replace(item, choices=tuple(_pairs(interaction, answers)))
    elif kind is Kind.ORDERING:
        texts = {each.get("identifier", ""): _markdown(each) for each in children(interaction, "simpleChoice")}
        order = [each for each in answers.correct if each in texts] or list(texts)
        item = replace(item, choices=tuple(forms.choice(texts[each], True) for each in order))
    else:
        item = replace(item, choices=tuple(_picked(interaction, kind, answers)))
    general = next(
        (each for each in children(tree, "modalFeedback") if each.get("outcomeIdentifier") == "GENERAL"), None
    )
    return item if general is None else forms.remarked(item, _html(general))


def _kind(interaction: Element, declared: Element | None) -> Kind:
    kind = _INTERACTIONS[local(interaction)] or Kind.SHORT
    said = declared.attrib if declared is not None else {}
    if kind is Kind.SHORT and said.get("baseType") in ("float", "integer"):
        return Kind.NUMERIC
    if kind is Kind.SINGLE and said.get("cardinality") == "multiple":
        return Kind.MULTIPLE
    return kind


def _answers(tree: Element, declared: Element | None, points: float, place: str) -> _Answers:
    correct: list[str] = []
    shares: dict[str, float] = {}
    if declared is not None:
        for holder in children(declared, "correctResponse"):
            correct += [(each.text or "").strip() for each in children(holder, "value")]
        for entry in children(declared, "mapEntry"):
            shares[entry.get("mapKey", "")] = finite(entry.get("mappedValue"), place) / points
    feedback = {}
    for each in children(tree, "modalFeedback"):
        if each.get("outcomeIdentifier") != "GENERAL":
            feedback[each.get("identifier", "")] = _markdown(each)
    for each in children(tree, "simpleChoice"):
        for inline in children(each, "feedbackInline", "feedbackBlock"):
            feedback.setdefault(each.get("identifier", ""), _markdown(inline))
    return _Answers(tuple(correct), shares, feedback, place)


def _picked(interaction: Element, kind: Kind, answers: _Answers) -> Iterator[Choice]:
    for each in children(interaction, "simpleChoice"):
        ident = each.get("identifier", "")
        right = ident in answers.correct
        share = answers.shares.get(ident, 0.0)
        usual = 1 / max(1, len(answers.correct)) if kind is Kind.MULTIPLE else 1.0
        credit = 1.0 if right else 0.0
        if ident in answers.shares and abs(share - (usual if right else 0.0)) > 1e-4 and share > 0:
            credit = min(1.0, share)
        yield Choice(_markdown(each), right, answers.feedback.get(ident, ""), credit=credit)


def _typed(tree: Element, kind: Kind, answers: _Answers) -> Iterator[Choice]:
    cases = children(tree, "responseIf", "responseElseIf")
    seen: set[str] = set()
    for case in cases:
        same = next((each for each in case if local(each) in ("equal", "stringMatch", "match")), None)
        known = first(same, "baseValue") if same is not None else None
        if same is None or known is None:
            continue
        text = (known.text or "").strip() if kind is Kind.NUMERIC else known.text or ""
        around = 0.0
        if same.get("toleranceMode") == "absolute":
            around = finite((same.get("tolerance") or "0").split()[0], answers.place)
        outcomes = {each.get("identifier"): each for each in children(case, "setOutcomeValue")}
        share = _set_to(outcomes.get("SCORE"), answers.place)
        points = next((finite(each.get("normalMaximum"), answers.place) for each in _scores(tree)), 1.0) or 1.0
        shown = outcomes.get("FEEDBACK")
        why = answers.feedback.get("".join(shown.itertext()).strip(), "") if shown is not None else ""
        seen.add(text)
        yield _typed_choice(kind, text, share / points, why, around, answers.place)
    for text in answers.correct if not seen else ():
        yield _typed_choice(kind, text, 1.0, "", 0.0, answers.place)
    for text, share in answers.shares.items():
        if text not in seen and text not in (answers.correct if not seen else ()):
            yield _typed_choice(kind, text, share, "", 0.0, answers.place)


def _scores(tree: Element) -> list[Element]:
    declared = children(tree, "outcomeDeclaration")
    return [each for each in declared if each.get("identifier") == "SCORE" and each.get("normalMaximum")]


def _set_to(outcome: Element | None, place: str) -> float:
    text = "".join(outcome.itertext()).strip() if outcome is not None else "0"
    return finite(text, place) if text else 0.0


def _typed_choice(kind: Kind, text: str, share: float, why: str, around: float, place: str) -> Choice:
    right = share > 0.9999
    said = forms.numeral(finite(text, place)) if kind is Kind.NUMERIC else text
    return Choice(said, right, why, tolerance=around, credit=1.0 if right else max(0.0, share))


def _pairs(interaction: Element, answers: _Answers) -> Iterator[Choice]:
    sets = children(interaction, "simpleMatchSet")
    sides = [
        {each.get("identifier", ""): _markdown(each) for each in children(side, "simpleAssociableChoice")}
        for side in sets
    ]
    if len(sides) != 2:
        return
    partners: dict[str, list[str]] = {}
    for pair in answers.correct:
        left, _, right = pair.partition(" ")
        partners.setdefault(right.strip(), []).append(left)
    for ident, text in sides[1].items():
        for left in partners.get(ident, [""]):
            yield forms.choice(sides[0].get(left, ""), True, match=text)


def _asked(body: Element, interaction: Element) -> tuple[str, str]:
    """The question: all that stands before and around its interaction, and the interaction's own prompt."""
    prompts = "".join(_html(each) for each in interaction if local(each) == "prompt")
    text = _html(body, interaction)
    return forms.unasked(f"{text}<p>{prompts}</p>" if prompts else text)


def _markdown(node: Element) -> str:
    return markup.markdown(_html(node))


def _html(node: Element, without: Element | None = None) -> str:
    """An element's content as HTML, less feedback and one element that is left out."""
    parts = [forms.escaped(node.text or "")]
    for child in node:
        name = local(child)
        if child is not without and name not in ("feedbackInline", "feedbackBlock", "prompt"):
            said = "".join(f' {local_name(key)}="{forms.escaped(value)}"' for key, value in child.attrib.items())
            inside = _html(child, without)
            parts.append(f"<{name}{said}/>" if name in ("br", "img", "hr") else f"<{name}{said}>{inside}</{name}>")
        parts.append(forms.escaped(child.tail or ""))
    return markup.isolated("".join(parts))


def local_name(key: str) -> str:
    return key.rpartition("}")[2]
