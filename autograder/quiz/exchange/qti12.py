"""QTI 1.2 in a zip, as Canvas and others import it: one assessment for each quiz, texts as HTML.

The variants of a parametrised question stand in a section of their own, of which one is selected. Canvas marks a
`multiple` question by its own rule, and classic quizzes there know no ordering questions; the file says so as QTI does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.records import Choice, Item, Kind, Quiz

_QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
_CP = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
_CANVAS = "http://canvas.instructure.com/xsd/cccv1p0"
_META = "associatedcontent/imscc_xmlv1p1/learning-application-resource"
_TYPES = {
    Kind.SINGLE: "multiple_choice_question",
    Kind.MULTIPLE: "multiple_answers_question",
    Kind.NUMERIC: "numerical_question",
    Kind.SHORT: "short_answer_question",
    Kind.MATCHING: "matching_question",
    Kind.ORDERING: "ordering_question",
}
_RESPONSE = "response1"
_ANY_FEEDBACK = "general_fb"


def write(drafts: Sequence[Draft]) -> Export:
    files: dict[str, str] = {}
    manifest, resources = package(_CP, "IMS Content", "1.1.3")
    for draft in drafts:
        name = identifier(f"{draft.quiz.name}_{draft.quiz.language}")
        files[f"{name}/{name}.xml"] = text_of(_assessment(draft, name))
        files[f"{name}/assessment_meta.xml"] = text_of(_settings(draft.quiz, name))
        resource = SubElement(resources, "resource", identifier=name, type="imsqti_xmlv1p2")
        SubElement(resource, "file", href=f"{name}/{name}.xml")
        SubElement(resource, "dependency", identifierref=f"{name}_meta")
        meta = f"{name}/assessment_meta.xml"
        resource = SubElement(resources, "resource", identifier=f"{name}_meta", type=_META, href=meta)
        SubElement(resource, "file", href=meta)
    notes = []
    kinds = {item.kind for draft in drafts for item in draft.quiz.items}
    if Kind.MULTIPLE in kinds:
        notes.append("a `multiple` question is marked as a whole, or by the importing system's own rule")
    if Kind.ORDERING in kinds:
        notes.append("Canvas' classic quizzes leave ordering questions out")
    return Export(limits.zipped({"imsmanifest.xml": text_of(manifest), **files}), {}, tuple(notes))


def package(namespace: str, schema: str, version: str) -> tuple[Element, Element]:
    """The manifest of a package that has no resources yet, and the place for them."""
    manifest = Element("manifest", identifier="quizzes", xmlns=namespace)
    metadata = SubElement(manifest, "metadata")
    SubElement(metadata, "schema").text = schema
    SubElement(metadata, "schemaversion").text = version
    SubElement(manifest, "organizations")
    return manifest, SubElement(manifest, "resources")


def read(data: bytes, name: str, language: str) -> Found:
    files = limits.unzip(data, name) if data[:2] == b"PK" else {name: data}
    trees = {path: limits.xml(each, path) for path, each in sorted(files.items())}
    settings = {tree.get("identifier", ""): tree for tree in trees.values() if local(tree) == "quiz"}
    warnings: list[tuple[str, str, str, str]] = []
    quizzes = []
    for path, tree in trees.items():
        if local(tree) != "questestinterop":
            continue
        whole = next((each for each in tree.iter() if local(each) in ("assessment", "objectbank")), tree)
        title = whole.get("title") or path.rpartition("/")[2].removesuffix(".xml")
        found = [each for each in tree.iter() if local(each) == "item"]
        pairs = [(called(each, "ident"), _item(each, path)) for each in found]
        kept = [(id_, item) for id_, item in pairs if item is not None]
        name_of = forms.quiz_name((whole.get("ident") or title).removesuffix(_ending(tree)), title)
        for id_, item in pairs:
            if item is None:
                warnings.append((name_of, id_, "left-out", "a question of a type that a bank can't hold."))
        ids = forms.ids(id_ for id_, _ in kept)
        items = tuple(replace(item, id=id_) for id_, (_, item) in zip(ids, kept, strict=True))
        spoken = language or _spoken(tree) or "en"
        quiz = Quiz(name_of, title, spoken, items)
        settled_each = any(each.get("shuffle") for each in children(tree, "render_choice"))
        quizzes.append(_settled(quiz, settings.get(whole.get("ident", "")), settled_each))
    if not quizzes:
        raise limits.UnreadableExchange(f"{name}: found no <questestinterop>, expected one. Export as QTI 1.2.")
    return Found(tuple(quizzes), tuple(warnings))


def local(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def identifier(text: str) -> str:
    """An identifier for XML: a letter first, then letters, digits, hyphens, dots."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "-" for each in text)
    if plain == text and plain[:1].isalpha():
        return plain
    return f"i{hashlib.sha256(text.encode()).hexdigest()[:8]}-{plain}"


def called(node: Element, name: str) -> str:
    """An item's id: its title if the identifier was made from that, else the identifier."""
    title, ident = node.get("title", ""), node.get(name, "")
    return title if title and identifier(title) == ident else ident or title


def text_of(root: Element, pretty: bool = True) -> str:
    """An XML file. pretty: not where the white space inside is a text's own."""
    if pretty:
        indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def children(node: Element, *names: str) -> list[Element]:
    return [each for each in node.iter() if local(each) in names]


def first(node: Element, *names: str) -> Element | None:
    return next(iter(children(node, *names)), None)


def finite(text: str | None, place: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e300:
        raise limits.UnreadableExchange(f"{place}: found {str(text)[:40]!r}, expected a number. Export it again.")
    return value


def _settings(quiz: Quiz, name: str) -> Element:
    root = Element("quiz", identifier=name, xmlns=_CANVAS)
    due = quiz.due.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if quiz.due else ""
    total = sum(item.points for item in quiz.items)
    said = {
        "title": markup.legal(quiz.title),
        "due_at": due,
        "shuffle_answers": str(all(item.shuffle for item in quiz.items)).lower(),
        "quiz_type": "assignment",
        "points_possible": forms.digits(total),
        "allowed_attempts": str(quiz.attempts or -1),
    }
    for key, value in said.items():
        SubElement(root, key).text = value
    return root


def _settled(quiz: Quiz, settings: Element | None, settled_each: bool) -> Quiz:
    """The quiz with its settings. settled_each: whether each item says itself if its choices are shuffled."""
    if settings is None:
        return quiz
    said = {local(each): (each.text or "").strip() for each in settings}
    attempts = said.get("allowed_attempts", "")
    quiz = replace(
        quiz, attempts=int(attempts) if attempts.isascii() and attempts.isdigit() and len(attempts) < 6 else 0
    )
    if said.get("shuffle_answers") == "false" and not settled_each:
        quiz = replace(quiz, items=tuple(replace(item, shuffle=False) for item in quiz.items))
    try:
        due = datetime.fromisoformat(said.get("due_at", ""))
    except ValueError:
        return quiz
    return replace(quiz, due=due if due.tzinfo else due.replace(tzinfo=UTC))


def _assessment(draft: Draft, name: str) -> Element:
    root = Element("questestinterop", xmlns=_QTI)
    root.set("xml:lang", draft.quiz.language)
    assessment = SubElement(root, "assessment", ident=name, title=markup.legal(draft.quiz.title))
    section = SubElement(assessment, "section", ident="root_section")
    for number, (family, items) in enumerate(forms.groups(draft)):
        inside = section
        if family:
            inside = SubElement(section, "section", ident=f"group-{number}", title=family)
            selection = SubElement(SubElement(inside, "selection_ordering"), "selection")
            SubElement(selection, "selection_number").text = "1"
            extension = SubElement(selection, "selection_extension")
            SubElement(extension, "points_per_item").text = forms.digits(items[0].points)
        inside.extend(_question(item, draft.quiz.language) for item in items)
    return root


def _question(item: Item, language: str) -> Element:
    question = Element("item", ident=identifier(item.id), title=item.id)
    fields = SubElement(SubElement(question, "itemmetadata"), "qtimetadata")
    answers = ",".join(_id(number) for number, _ in enumerate(item.choices))
    known = {"question_type": _TYPES[item.kind], "points_possible": forms.digits(item.points)}
    for label, entry in (known | {"original_answer_ids": answers}).items():
        holder = SubElement(fields, "qtimetadatafield")
        SubElement(holder, "fieldlabel").text = label
        SubElement(holder, "fieldentry").text = entry
    presentation = SubElement(question, "presentation")
    _material(presentation, forms.asked(item, language))
    processing = Element("resprocessing")
    outcomes = SubElement(processing, "outcomes")
    SubElement(outcomes, "decvar", maxvalue="100", minvalue="0", varname="SCORE", vartype="Decimal")
    feedback: dict[str, str] = {}
    if general := forms.remarks(item, language):
        feedback[_ANY_FEEDBACK] = general
        SubElement(_condition(processing, _ANY_FEEDBACK), "other")
    if item.kind in forms.PICKED:
        _picked(presentation, processing, item, language)
    elif item.kind in forms.TYPED:
        _typed(presentation, processing, item)
    elif item.kind is Kind.MATCHING:
        _matching(presentation, processing, item, language)
    else:
        _ordering(presentation, processing, item, language)
    if item.kind in (*forms.PICKED, *forms.TYPED):
        said = {f"{_id(number)}_fb": each.why for number, each in enumerate(item.choices)}
        feedback |= {ident: markup.html(why, language) for ident, why in said.items() if why}
    if item.why and item.kind in forms.TYPED:
        feedback["general_incorrect_fb"] = markup.html(item.why, language)
        SubElement(_condition(processing, "general_incorrect_fb"), "other")
    question.append(processing)
    for ident, text in feedback.items():
        _material(SubElement(SubElement(question, "itemfeedback", ident=ident), "flow_mat"), text)
    return question


def _picked(presentation: Element, processing: Element, item: Item, language: str) -> None:
    multiple = item.kind is Kind.MULTIPLE
    choices = _choices(presentation, "Multiple" if multiple else "Single", item)
    for number, each in enumerate(item.choices):
        _material(SubElement(choices, "response_label", ident=_id(number)), markup.html(each.text, language))
        if each.why:
            _equal(_condition(processing, f"{_id(number)}_fb"), _id(number))
    if multiple:
        scored = _scored(processing, 100)
        everything = SubElement(scored, "and")
        for number, each in enumerate(item.choices):
            _equal(everything if each.right else SubElement(everything, "not"), _id(number))
        return
    for number, each in enumerate(item.choices):
        if each.credit:
            _equal(_scored(processing, each.credit * 100), _id(number))


def _typed(presentation: Element, processing: Element, item: Item) -> None:
    response = SubElement(presentation, "response_str", ident=_RESPONSE, rcardinality="Single")
    numeric = item.kind is Kind.NUMERIC
    blank = SubElement(response, "render_fib", {"fibtype": "Decimal"} if numeric else {})
    SubElement(blank, "response_label", ident="answer1")
    for number, each in enumerate(item.choices):
        places = [_condition(processing, f"{_id(number)}_fb")] if each.why else []
        places.append(_scored(processing, each.credit * 100, _id(number)))
        for place in places:
            if numeric:
                _near(place, each)
            else:
                _equal(place, markup.legal(each.text))


def _near(place: Element, each: Choice) -> None:
    middle, around = forms.value(each), forms.around(each)
    either = SubElement(place, "or")
    _equal(either, forms.digits(middle))
    both = SubElement(either, "and")
    SubElement(both, "vargte", respident=_RESPONSE).text = forms.digits(middle - around)
    SubElement(both, "varlte", respident=_RESPONSE).text = forms.digits(middle + around)


def _matching(presentation: Element, processing: Element, item: Item, language: str) -> None:
    share = 100 / max(1, sum(bool(each.text) for each in item.choices))
    for number, each in enumerate(item.choices):
        if not each.text:
            continue
        response = SubElement(presentation, "response_lid", ident=f"response_{_id(number)}")
        _material(response, markup.html(each.text, language))
        choices = SubElement(response, "render_choice", shuffle="Yes" if item.shuffle else "No")
        for other, right in enumerate(item.choices):
            _material(SubElement(choices, "response_label", ident=_id(other)), markup.html(right.match, language))
        scored = SubElement(SubElement(processing, "respcondition"), "conditionvar")
        SubElement(scored, "varequal", respident=f"response_{_id(number)}").text = _id(number)
        parent = list(processing)[-1]
        SubElement(parent, "setvar", varname="SCORE", action="Add").text = f"{share:.2f}"


def _ordering(presentation: Element, processing: Element, item: Item, language: str) -> None:
    choices = _choices(presentation, "Ordered", item)
    for number, each in enumerate(item.choices):
        _material(SubElement(choices, "response_label", ident=_id(number)), markup.html(each.text, language))
    scored = SubElement(_scored(processing, 100), "and")
    for number, _ in enumerate(item.choices):
        SubElement(scored, "varequal", respident=_RESPONSE, index=str(number + 1)).text = _id(number)


def _choices(presentation: Element, cardinality: str, item: Item) -> Element:
    response = SubElement(presentation, "response_lid", ident=_RESPONSE, rcardinality=cardinality)
    return SubElement(response, "render_choice", shuffle="Yes" if item.shuffle else "No")


def _condition(processing: Element, feedback: str) -> Element:
    condition = SubElement(processing, "respcondition", {"continue": "Yes"})
    found = SubElement(condition, "conditionvar")
    SubElement(condition, "displayfeedback", feedbacktype="Response", linkrefid=feedback)
    return found


def _scored(processing: Element, score: float, title: str = "") -> Element:
    condition = SubElement(processing, "respcondition", {"continue": "No"} | ({"title": title} if title else {}))
    found = SubElement(condition, "conditionvar")
    SubElement(condition, "setvar", action="Set", varname="SCORE").text = forms.digits(score)
    return found


def _equal(place: Element, value: str) -> None:
    SubElement(place, "varequal", respident=_RESPONSE).text = value


def _material(parent: Element, text: str) -> None:
    SubElement(SubElement(parent, "material"), "mattext", texttype="text/html").text = text


def _id(number: int) -> str:
    return f"choice-{number + 1}"


def _ending(tree: Element) -> str:
    return f"_{_spoken(tree)}"


def _spoken(tree: Element) -> str:
    said = next((value for key, value in tree.attrib.items() if key.endswith("lang")), "")
    return said or markup.language(" ".join(each.text or "" for each in children(tree, "mattext")))


def _item(question: Element, place: str) -> Item | None:
    fields = {}
    for each in children(question, "qtimetadatafield"):
        fields[_inner(each, "fieldlabel")] = _inner(each, "fieldentry")
    presentation = first(question, "presentation")
    if presentation is None:
        return None
    responses = children(presentation, "response_lid", "response_str", "response_num")
    kind = _kind(fields.get("question_type", ""), responses)
    if kind is None:
        return None
    text, unit = forms.unasked(
        _html(next((each for each in presentation if local(each) in ("material", "flow")), None))
    )
    points = finite(fields.get("points_possible", "1") or "1", place)
    item = Item("", kind, text, (), "", "", points=points if points > 0 else 1.0, unit=unit)
    said = {each.get("ident", ""): _html(each) for each in children(question, "itemfeedback")}
    scores = _scores(question, place)
    if kind in forms.PICKED:
        item = _read_picked(item, responses[0], said, scores, question)
    elif kind in forms.TYPED:
        item = _read_typed(item, said, question, place)
    elif kind is Kind.MATCHING:
        item = _read_matching(item, responses, question)
    else:
        item = _read_ordering(item, responses[0], question)
    return forms.remarked(item, said.get(_ANY_FEEDBACK, ""))


def _kind(said: str, responses: list[Element]) -> Kind | None:
    known = {value: kind for kind, value in _TYPES.items()} | {"true_false_question": Kind.SINGLE}
    if said:
        return known.get(said) if responses else None
    if not responses:
        return None
    if local(responses[0]) != "response_lid":
        fib = first(responses[0], "render_fib")
        numeric = local(responses[0]) == "response_num" or (
            fib is not None and fib.get("fibtype") in ("Decimal", "Integer")
        )
        return Kind.NUMERIC if numeric else Kind.SHORT
    if len(responses) > 1:
        return Kind.MATCHING
    cardinalities = {"Multiple": Kind.MULTIPLE, "Ordered": Kind.ORDERING}
    return cardinalities.get(responses[0].get("rcardinality", "Single"), Kind.SINGLE)


def _scores(question: Element, place: str) -> list[tuple[Element, float]]:
    """The conditions that set a score, and the share of the points that each sets."""
    found = []
    top = [finite(each.get("maxvalue"), place) for each in children(question, "decvar") if each.get("maxvalue")]
    full = max([each for each in top if each > 0], default=100.0)
    for condition in children(question, "respcondition"):
        variable = next((each for each in condition if local(each) == "setvar"), None)
        if variable is not None:
            found.append((condition, finite(variable.text, place) / full))
    return found


def _read_picked(
    item: Item, response: Element, said: dict[str, str], scores: list[tuple[Element, float]], question: Element
) -> Item:
    shares: dict[str, float] = {}
    for condition, share in scores:
        for each in _affirmed(condition):
            ident = (each.text or "").strip()
            shares[ident] = max(share, shares.get(ident, 0.0))
    linked = _linked(question)
    choices = []
    for label in children(response, "response_label"):
        ident = label.get("ident", "")
        share = shares.get(ident, 0.0)
        right = share > 0.9999 or (item.kind is Kind.MULTIPLE and share > 0)
        why = markup.markdown(said.get(linked.get(ident, f"{ident}_fb"), ""))
        choices.append(Choice(markup.markdown(_html(label)), right, why, credit=1.0 if right else max(0.0, share)))
    return replace(item, choices=tuple(choices), shuffle=_shuffled(response))


def _affirmed(condition: Element) -> list[Element]:
    denied = {id(each) for holder in children(condition, "not") for each in holder.iter()}
    return [each for each in children(condition, "varequal") if id(each) not in denied]


def _linked(question: Element) -> dict[str, str]:
    """By a choice's ident, the feedback that is shown for it alone."""
    found: dict[str, str] = {}
    for condition in children(question, "respcondition"):
        equal = _affirmed(condition)
        shown = [each for each in condition if local(each) == "displayfeedback"]
        if len(equal) == 1 and shown and not any(local(each) == "setvar" for each in condition):
            found[(equal[0].text or "").strip()] = shown[0].get("linkrefid", "")
    return found


def _read_typed(item: Item, said: dict[str, str], question: Element, place: str) -> Item:
    whys: dict[str, str] = {}
    for condition in children(question, "respcondition"):
        shown = [each for each in condition if local(each) == "displayfeedback"]
        for each in shown:
            whys[_answer_key(condition)] = said.get(each.get("linkrefid", ""), "")
    choices = []
    for condition, share in _scores(question, place):
        key = _answer_key(condition)
        if item.kind is Kind.SHORT:
            for each in _affirmed(condition):
                why = markup.markdown(whys.get(_key_of([each]), whys.get(key, "")))
                choices.append(_typed_choice(each.text or "", share, why, 0.0))
        elif found := _interval(condition, place):
            choices.append(_typed_choice(forms.numeral(found[0]), share, markup.markdown(whys.get(key, "")), found[1]))
    return replace(item, choices=tuple(choices), why=markup.markdown(said.get("general_incorrect_fb", "")))


def _typed_choice(text: str, share: float, why: str, around: float) -> Choice:
    right = share > 0.9999
    return Choice(text, right, why, tolerance=around, credit=1.0 if right else max(0.0, share))


def _answer_key(condition: Element) -> str:
    return _key_of(children(condition, "varequal", "vargte", "varlte", "vargt", "varlt"))


def _key_of(nodes: list[Element]) -> str:
    return "|".join(f"{local(each)}={(each.text or '').strip()}" for each in nodes)


def _interval(condition: Element, place: str) -> tuple[float, float] | None:
    exact = [finite(each.text, place) for each in children(condition, "varequal")]
    low = [finite(each.text, place) for each in children(condition, "vargte", "vargt")]
    high = [finite(each.text, place) for each in children(condition, "varlte", "varlt")]
    if low and high:
        middle = exact[0] if exact else (low[0] + high[0]) / 2
        return middle, float(f"{(high[0] - low[0]) / 2:.12g}")
    return (exact[0], 0.0) if exact else None


def _read_matching(item: Item, responses: list[Element], question: Element) -> Item:
    right = {each.get("respident", ""): (each.text or "").strip() for each in children(question, "varequal")}
    labels: dict[str, str] = {}
    for response in responses:
        for label in children(response, "response_label"):
            labels.setdefault(label.get("ident", ""), markup.markdown(_html(label)))
    lefts: dict[str, str] = {}
    for response in responses:
        material = next((each for each in response if local(each) == "material"), None)
        lefts[right.get(response.get("ident", ""), "")] = markup.markdown(_html(material))
    choices = [forms.choice(lefts.get(ident, ""), True, match=text) for ident, text in labels.items()]
    return replace(item, choices=tuple(choices), shuffle=_shuffled(responses[0]))


def _read_ordering(item: Item, response: Element, question: Element) -> Item:
    texts = {each.get("ident", ""): markup.markdown(_html(each)) for each in children(response, "response_label")}
    order = [(each.text or "").strip() for each in children(question, "varequal")]
    known = [ident for ident in dict.fromkeys(order) if ident in texts] or list(texts)
    return replace(
        item, choices=tuple(forms.choice(texts[ident], True) for ident in known), shuffle=_shuffled(response)
    )


def _shuffled(response: Element) -> bool:
    choices = first(response, "render_choice")
    return choices is None or choices.get("shuffle", "Yes").lower() != "no"


def _html(node: Element | None) -> str:
    """The first text inside, as HTML."""
    text = first(node, "mattext") if node is not None else None
    if text is None:
        return ""
    said = "".join(text.itertext())
    return said if text.get("texttype", "text/plain") == "text/html" else forms.escaped(said)


def _inner(node: Element, name: str) -> str:
    found = first(node, name)
    return (found.text or "").strip() if found is not None else ""
