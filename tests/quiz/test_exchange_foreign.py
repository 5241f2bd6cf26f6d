# ruff: noqa: E501
"""Files as other programs write them, and what is wrong with some of them."""

import json

import pytest

from autograder.quiz import exchange
from autograder.quiz.records import Kind


def reads(name, text, file="file"):
    return exchange.reads(name, text if isinstance(text, bytes) else text.encode(), file)


def lesson(*questions, title="Quizzes"):
    quiz = [
        {"questionText": asked, "answerOptions": [{"answerText": said, "isCorrect": right} for said, right in options]}
        for asked, options in questions
    ]
    return json.dumps(
        [{"title": title, "complete": "!", "error": "!", "quizzes": [{"id": 135, "title": title, "quiz": quiz}]}]
    )


STEPS = (
    "With positional encoding, where a token stands relative to others is given as a number of steps.",
    [("true", True), ("false", False)],
)
PASOS = ("La codificación posicional cuenta la posición relativa en pasos", [("verdadero", True), ("falso", False)])
USES = ("A transformer makes use of attention in ___ places", [("1", False), ("2", True), ("3", False)])


def rules(imported):
    return [each.rule for each in imported.findings]


@pytest.mark.parametrize(
    "question", [STEPS, PASOS, ("בקידוד מיקום המרחק הוא מספר הצעדים", [("נכון", True), ("לא נכון", False)])]
)
def test_positions_in_steps_are_contested(question):
    found = [each for each in reads("ai-for-beginners", lesson(question)).findings if each.rule == "contested"]
    assert [each.item for each in found] == ["q1"] and "recurrent networks" in found[0].says


def test_two_uses_of_attention_are_contested():
    found = [each for each in reads("ai-for-beginners", lesson(USES)).findings if each.rule == "contested"]
    assert len(found) == 1 and "the paper has three" in found[0].says


def test_what_is_put_right_is_not_contested():
    right = [
        (STEPS[0], [("true", False), ("false", True)]),
        (USES[0], [("1", False), ("2", False), ("3", True)]),
        (
            "Which network knows a position by the number of steps?",
            [("a recurrent one", True), ("a transformer", False)],
        ),
        ("How many matrices has attention in a transformer with 2 heads?", [("4", True), ("3", False)]),
    ]
    assert "contested" not in rules(reads("ai-for-beginners", lesson(*right)))


def test_booleans_as_text_are_mended_and_said():
    text = lesson(("¿Qué?", [("sí, añade", "true"), ("no", "false"), ("tampoco", "False")]))
    imported = reads("ai-for-beginners", text)
    assert [choice.right for choice in imported.quizzes[0].items[0].choices] == [True, False, False]
    assert rules(imported).count("strict-boolean") == 1
    says = next(each.says for each in imported.findings if each.rule == "strict-boolean")
    assert "every answer would pass" in says
    assert "strict-boolean" not in rules(reads("ai-for-beginners", lesson(STEPS)))


@pytest.mark.parametrize("value", ["yes", 1, None, "", []])
def test_what_is_no_boolean_is_refused(value):
    with pytest.raises(
        exchange.UnreadableExchange, match=r"answerOptions\[0\].isCorrect: found .*, expected true or false"
    ):
        reads("ai-for-beginners", lesson(("A?", [("b", value), ("c", False)])))


def test_a_text_ruined_on_its_way_is_flagged():
    ruined = "תשומת הלב שוקלת את כל המילים במשפט".encode().decode("gb2312", "ignore")
    imported = reads("ai-for-beginners", lesson((ruined, [("1", True), ("2", False)])))
    assert any(each.rule == "encoding" and "GB2312" in each.says for each in imported.findings)


def test_a_bank_keyed_at_one_place_is_flagged():
    one = [(f"Question {number}?", [("a", True), ("b", False), ("c", False)]) for number in range(6)]
    assert "positions" in rules(reads("ai-for-beginners", lesson(*one)))


MOODLE = """<?xml version="1.0" encoding="UTF-8"?>
<quiz>
<question type="category"><category><text>$course$/top/Default for A//B/Week 1</text></category></question>
<question type="multichoice"><name><text>Q one</text></name>
<questiontext format="html"><text><![CDATA[<p>What is $$x$$ of <b>this</b>?<br></p>]]></text></questiontext>
<generalfeedback format="html"><text>Think.</text></generalfeedback>
<defaultgrade>2.0000000</defaultgrade><single>true</single><shuffleanswers>1</shuffleanswers>
<answer fraction="100" format="html"><text>&lt;p&gt;a&lt;/p&gt;</text><feedback format="html"><text>Yes</text></feedback>
</answer><answer fraction="-25" format="html"><text>b</text><feedback><text></text></feedback></answer>
<answer fraction="50" format="html"><text>c</text></answer></question>
<question type="truefalse"><name><text>TF</text></name><questiontext format="plain_text"><text>1 &lt; 2</text></questiontext>
<answer fraction="0"><text>false</text></answer><answer fraction="100"><text>true</text></answer></question>
<question type="essay"><name><text>Long</text></name><questiontext format="html"><text>Write.</text></questiontext></question>
<question type="numerical"><name><text>N</text></name><questiontext format="markdown"><text>**How** many?</text></questiontext>
<answer fraction="100"><text>3.14</text><feedback><text>Pi</text></feedback><tolerance>0.01</tolerance></answer>
<answer fraction="0"><text>*</text><feedback><text>No</text></feedback></answer></question>
</quiz>"""


def test_moodle_as_moodle_writes_it():
    imported = reads("moodle-xml", MOODLE)
    (quiz,) = imported.quizzes
    assert quiz.title == "Default for A/B"
    one, two, three = quiz.items
    assert (one.id, one.points, one.text, one.why) == ("q-one", 2.0, "What is $$x$$ of **this**?", "Think.")
    assert [(each.text, each.right, each.credit) for each in one.choices] == [
        ("a", True, 1.0),
        ("b", False, 0.0),
        ("c", False, 0.5),
    ]
    assert two.text == "1 < 2" and [each.right for each in two.choices] == [False, True] and not two.shuffle
    assert three.text == "**How** many?" and three.choices[0].tolerance == 0.01 and three.why == "No"
    assert any(each.rule == "left-out" and each.item == "Long" for each in imported.findings)
    with pytest.raises(exchange.UnreadableExchange, match="expected Moodle's <quiz>"):
        reads("moodle-xml", "<other/>")
    with pytest.raises(exchange.UnreadableExchange, match="found 'much', expected a number"):
        reads("moodle-xml", MOODLE.replace("2.0000000", "much"))


GIFT = """// a comment
$CATEGORY: $course$/top/Week 2

::Grant::Who is buried in {~no one#funny =Grant ~%50%a general} tomb?

The sun rises in the west.{F#Yes, the east.#No.}

Name the animal {=cat =%50%dog#nearly ####Both live with us.}

::Pairs::Match {=a -> 1 =b -> 2 = -> 3}

::Pi\\: how much?:: Pi? {#3.14:0.005}

::Range::{#1..5}

Several {~%50%one ~%50%two ~%-100%three}

Write an essay. {}

A description only.

[markdown]*How* many \\{x\\}? {#=1822:0#right =%50%1822:2 ~#no}
"""


def test_gift_as_people_write_it():
    imported = reads("gift", GIFT)
    items = imported.quizzes[0].items
    assert imported.quizzes[0].title == "Week 2"
    kinds = ["single", "single", "short", "matching", "numeric", "numeric", "multiple", "numeric"]
    assert [str(each.kind) for each in items] == kinds
    assert items[0].text == "Who is buried in _____ tomb?" and items[0].choices[2].credit == 0.5
    assert [each.right for each in items[1].choices] == [False, True]
    assert (items[1].choices[0].why, items[1].choices[1].why) == ("Yes, the east.", "No.")
    assert items[2].why == "Both live with us." and items[2].choices[1].credit == 0.5
    assert [(each.text, each.match) for each in items[3].choices] == [("a", "1"), ("b", "2"), ("", "3")]
    assert items[4].choices[0].tolerance == 0.005 and items[4].id == "pi-how-much"
    assert items[5].choices[0].text == "3" and items[5].choices[0].tolerance == 2
    assert [each.right for each in items[6].choices] == [True, True, False]
    assert items[7].text == "*How* many {x}?" and items[7].why == "no" and items[7].choices[1].credit == 0.5
    assert rules(imported).count("left-out") == 2
    with pytest.raises(exchange.UnreadableExchange, match=r"line 3: found \{ without its partner"):
        reads("gift", "One {=a}\n\nTwo {=a")
    with pytest.raises(exchange.UnreadableExchange, match="a title without end"):
        reads("gift", "::One {=a}")
    with pytest.raises(exchange.UnreadableExchange, match="expected a number such as"):
        reads("gift", "One {#many}")


def test_words_that_gift_cannot_say_are_left_out(tmp_path):
    quiz = reads("gift", "A {=x}").quizzes[0]
    item = quiz.items[0]
    arrow = type(item.choices[0])("a -> b", True, "", credit=1.0)
    changed = type(quiz)(quiz.name, quiz.title, "en", (type(item)("a", Kind.SHORT, "A", (arrow,), "", ""),))
    assert "an arrow or a line end in plain text: a" in " ".join(exchange.write("gift", [changed], tmp_path).losses)


CANVAS = """<questestinterop xmlns="http://www.imsglobal.org/xsd/ims_qtiasiv1p2"><assessment ident="g1" title="Week 3">
<section ident="root_section"><item ident="g2" title="Question">
<itemmetadata><qtimetadata>
<qtimetadatafield><fieldlabel>question_type</fieldlabel><fieldentry>multiple_choice_question</fieldentry></qtimetadatafield>
<qtimetadatafield><fieldlabel>points_possible</fieldlabel><fieldentry>3.0</fieldentry></qtimetadatafield>
</qtimetadata></itemmetadata>
<presentation><material><mattext texttype="text/html">&lt;div&gt;&lt;p&gt;Which?&lt;/p&gt;&lt;/div&gt;</mattext></material>
<response_lid ident="response1" rcardinality="Single"><render_choice>
<response_label ident="1"><material><mattext texttype="text/plain">a &lt; b</mattext></material></response_label>
<response_label ident="2"><material><mattext texttype="text/plain">no</mattext></material></response_label>
</render_choice></response_lid></presentation>
<resprocessing><outcomes><decvar maxvalue="100" minvalue="0" varname="SCORE" vartype="Decimal"/></outcomes>
<respcondition continue="Yes"><conditionvar><varequal respident="response1">2</varequal></conditionvar>
<displayfeedback feedbacktype="Response" linkrefid="2_fb"/></respcondition>
<respcondition continue="No"><conditionvar><varequal respident="response1">1</varequal></conditionvar>
<setvar action="Set" varname="SCORE">100</setvar></respcondition></resprocessing>
<itemfeedback ident="2_fb"><flow_mat><material><mattext texttype="text/html">Not so.</mattext></material></flow_mat></itemfeedback>
</item>
<item ident="g3"><itemmetadata><qtimetadata><qtimetadatafield><fieldlabel>question_type</fieldlabel>
<fieldentry>essay_question</fieldentry></qtimetadatafield></qtimetadata></itemmetadata><presentation/></item>
</section></assessment></questestinterop>"""


def test_qti_12_as_canvas_writes_it():
    imported = reads("qti-1.2", CANVAS, "canvas.xml")
    (item,) = imported.quizzes[0].items
    assert (imported.quizzes[0].title, item.text, item.points) == ("Week 3", "Which?", 3.0)
    assert [(each.text, each.right, each.why) for each in item.choices] == [
        ("a < b", True, ""),
        ("no", False, "Not so."),
    ]
    assert "left-out" in rules(imported)
    with pytest.raises(exchange.UnreadableExchange, match="found no <questestinterop>"):
        reads("qti-1.2", "<a/>")
    with pytest.raises(exchange.UnreadableExchange, match="found 'x', expected a number"):
        reads("qti-1.2", CANVAS.replace(">3.0<", ">x<"))


ITEM = """<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="choice" title="Unattended"
 adaptive="false" timeDependent="false">
<responseDeclaration identifier="RESPONSE" cardinality="single" baseType="identifier"><correctResponse><value>B</value></correctResponse></responseDeclaration>
<outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float"/>
<itemBody><p>Look at <em>this</em>.</p><choiceInteraction responseIdentifier="RESPONSE" shuffle="true" maxChoices="1">
<prompt>What does it say?</prompt><simpleChoice identifier="A">Stay<feedbackInline outcomeIdentifier="F" identifier="A"
 showHide="show">No.</feedbackInline></simpleChoice><simpleChoice identifier="B">Go</simpleChoice></choiceInteraction></itemBody>
<responseProcessing template="http://www.imsglobal.org/question/qti_v2p1/rptemplates/match_correct"/></assessmentItem>"""


def test_qti_21_as_others_write_it():
    (item,) = reads("qti-2.1", ITEM, "choice.xml").quizzes[0].items
    assert item.id == "choice" and item.shuffle
    assert "Look at *this*." in item.text and "What does it say?" in item.text
    assert [(each.text, each.right, each.why) for each in item.choices] == [("Stay", False, "No."), ("Go", True, "")]
    with pytest.raises(exchange.UnreadableExchange, match="found no <assessmentItem>"):
        reads("qti-2.1", "<a/>")
    entry = ITEM.replace(
        'baseType="identifier"><correctResponse><value>B', 'baseType="float"><correctResponse><value>2.5'
    )
    start, end = entry.index("<choiceInteraction"), entry.index("</itemBody>")
    entry = entry[:start] + '<p>Here: <textEntryInteraction responseIdentifier="RESPONSE"/></p>' + entry[end:]
    (item,) = reads("qti-2.1", entry, "entry.xml").quizzes[0].items
    assert item.kind is Kind.NUMERIC and item.choices[0].text == "2.5"


def test_jupyterquiz_as_people_write_it():
    questions = [
        {
            "question": "Pick $x$",
            "type": "many_choice",
            "answers": [{"code": "a = 1", "correct": True, "feedback": "Yes"}, {"answer": "b", "correct": False}],
        },
        {
            "question": "Pi?",
            "type": "numeric",
            "precision": 3,
            "answers": [{"type": "range", "range": [3.0, 3.2], "correct": True}, {"type": "default", "feedback": "No"}],
        },
        {"question": "Who?", "type": "string", "answers": [{"answer": "Ada", "correct": True, "match_case": True}]},
    ]
    one, two, three = reads("jupyterquiz", json.dumps(questions), "week.json").quizzes[0].items
    assert one.kind is Kind.MULTIPLE and one.text == "Pick $x$" and one.choices[0].text == "`a = 1`"
    assert (two.choices[0].text, two.choices[0].tolerance, two.why) == ("3.1", 0.1, "No")
    assert three.kind is Kind.SHORT
    questions[0]["answers"][0]["correct"] = "true"
    with pytest.raises(exchange.UnreadableExchange, match="expected true or false"):
        reads("jupyterquiz", json.dumps(questions))
