"""Judging an answer on the page, in a real browser; see test_page.py."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from patent_hier.data.feedback import FeedbackStore, Period, Stored
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.web.app import create_app
from patent_hier.web.feedback import FeedbackSettings
from patent_hier.web.guard import ServiceSettings
from tests.inference.worlds import World
from tests.web.serving import Client, serving
from tests.web.test_page import NEEDS_BROWSER, TEXT, _opening, browser, contrast, shown

__all__ = ["browser"]
pytestmark = [*NEEDS_BROWSER, pytest.mark.slow]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback") / "f.sqlite"


@pytest.fixture(scope="module")
def judged_service(deep: HierarchicalClassifier, path: Path) -> Iterator[Client]:
    feedback = FeedbackSettings(FeedbackStore.open(path, create=True))
    with serving(create_app(deep, ServiceSettings(rate=0), feedback=feedback)) as client:
        yield client


@pytest.fixture
def open_page(browser: Any, judged_service: Client) -> Iterator[Callable[..., Any]]:
    yield from _opening(browser, judged_service)


@pytest.fixture
def open_plain_page(browser: Any, service: Client) -> Iterator[Callable[..., Any]]:
    yield from _opening(browser, service)


def stored(path: Path) -> list[Stored]:
    with contextlib.closing(FeedbackStore.open(path)) as store:
        return list(store.judgements(store.last_id(), Period(), every=True))


def answered(page: Any, text: str = TEXT) -> Any:
    page.uncheck("#why")
    page.fill("#text", text)
    with page.expect_response("**/predict") as answer:
        page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result:not([hidden])")
    return answer.value.json()


def focused(page: Any) -> str:
    """The code of the row that has the focus, or the id or words of what else has it."""
    return str(page.evaluate("(one => one.dataset.code || one.id || one.textContent)(document.activeElement)"))


def wait_for_focus(page: Any, wanted: str) -> None:
    script = "wanted => (one => one.dataset.code || one.id || one.textContent)(document.activeElement) === wanted"
    page.wait_for_function(script, arg=wanted)


def rows(page: Any) -> list[str]:
    return list(page.locator("#chooser li b").all_inner_texts())


def is_narrow(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def children(service: Client, parent: str) -> list[str]:
    return [one["code"] for one in service.get(f"/taxonomy?limit=500&parent={quote(parent)}").content["children"]]


def test_without_feedback_nothing_is_asked(open_plain_page: Callable[..., Any]) -> None:
    page = open_plain_page()
    answered(page)
    assert page.locator("#judge").is_hidden()
    assert "不会被记录" in shown(page, "footer")


@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.slow)])
def test_an_answer_is_right(open_page: Callable[..., Any], path: Path, language: str) -> None:
    page = open_page()
    if language == "en":
        page.click("#language")
    text = f"{TEXT}，{language}"
    answer = answered(page, text)
    kept, footer = {
        "zh": ("判定将连同文本保存到本单位的文件中。", "不记入日志；提交判定时，文本会连同判定保存"),
        "en": (
            "Your judgement and the text are stored in your office's file.",
            "the text is stored with your judgement",
        ),
    }[language]
    assert shown(page, "#judge-kept") == kept
    assert footer in shown(page, "footer")
    page.fill("#text", "别的文本")  # what is judged is what was classified
    page.click("#judge-right")
    label = answer["decision"]["label"]
    page.wait_for_selector(f"#judge-said:has-text('{label}')")
    said = {"zh": ("谢谢！", f"{label} 正确，已保存"), "en": ("Thank you!", f"{label} is right, saved")}[language]
    assert (shown(page, "#judge-ask"), shown(page, "#judge-said")) == said
    assert page.locator("#judge-said").get_attribute("role") == "status"
    assert page.locator("#judge button:visible").count() == 0  # nothing is offered twice
    one = stored(path)[-1].judgement
    assert (one.verdict, one.text, one.label, one.level) == ("right", text, label, answer["decision"]["level"])
    assert (one.predicted, one.model_version) == (label, answer["model_version"])
    assert one.probability == pytest.approx(answer["decision"]["confidence"])
    page.click("#language")  # what was said stays, in the other language
    assert label in shown(page, "#judge-said")
    assert page.locator("#judge button:visible").count() == 0
    answered(page)  # a new answer is asked about
    assert page.locator("#judge-right").is_visible()
    assert shown(page, "#judge-said") == ""


@pytest.mark.parametrize(("width", "language"), [(1200, "zh"), (360, "en")])
def test_keys_alone_correct_an_answer(
    open_page: Callable[..., Any], judged_service: Client, path: Path, width: int, language: str
) -> None:
    page = open_page(width=width)
    if language == "en":
        page.click("#language")
    steps = [step["label"] for step in answered(page)["paths"][0]["steps"]]
    page.focus("#judge-right")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_focus(page, steps[-1])  # it begins at the answer
    assert rows(page) == children(judged_service, steps[-2])
    assert page.locator("#chooser [aria-current=true] b").all_inner_texts() == steps[-1:]
    assert is_narrow(page)
    for depth, key in ((-2, "Backspace"), (-3, "ArrowLeft"), (-4, "Backspace"), (-5, "ArrowLeft")):
        page.keyboard.press(key)
        wait_for_focus(page, steps[depth])
    sections = rows(page)
    assert sections == list("ABCDEFGH")
    assert page.locator("#chooser button.main").is_hidden()  # a section alone is no correction
    page.keyboard.press("Control+Enter")
    wait_for_focus(page, children(judged_service, steps[0])[0])  # so it is only entered
    page.keyboard.press("Backspace")
    wait_for_focus(page, steps[0])
    page.keyboard.press("Home")
    wait_for_focus(page, "A")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    wait_for_focus(page, "B")
    page.keyboard.press("End")
    wait_for_focus(page, "H")
    section = "A" if steps[0] != "A" else "B"
    page.keyboard.press("Home")
    if section == "B":
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    classes = children(judged_service, section)
    wait_for_focus(page, classes[0])
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    wait_for_focus(page, children(judged_service, classes[-1])[0])
    assert is_narrow(page)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    wait_for_focus(page, {"zh": "选定 ", "en": "Choose "}[language] + classes[-1])
    page.keyboard.press("Enter")
    page.wait_for_selector("#judge-said:has-text('→')")
    saved = {"zh": "，已保存", "en": ", saved"}[language]
    assert shown(page, "#judge-said") == f"{steps[-1]} → {classes[-1]}{saved}"
    assert page.locator("#chooser").is_hidden()
    wait_for_focus(page, "judge")
    assert is_narrow(page)
    one = stored(path)[-1].judgement
    assert (one.verdict, one.label, one.level, one.predicted) == ("corrected", classes[-1], "class", steps[-1])


def test_a_leaf_is_chosen_and_a_row_at_once(open_page: Callable[..., Any], judged_service: Client, path: Path) -> None:
    page = open_page()
    steps = [step["label"] for step in answered(page)["paths"][0]["steps"]]
    page.click("#judge-wrong")
    wait_for_focus(page, steps[-1])
    page.keyboard.press("Enter")  # a leaf has nothing below
    wait_for_focus(page, f"选定 {steps[-1]}")
    assert "没有下级" in shown(page, "#chooser")
    page.keyboard.press("Backspace")
    wait_for_focus(page, steps[-1])
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    wait_for_focus(page, steps[-3])
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#judge-said:has-text('→')")
    one = stored(path)[-1].judgement
    assert (one.label, one.level) == (steps[-3], "subclass")


def test_the_answered_label_itself_is_right(open_page: Callable[..., Any], path: Path) -> None:
    page = open_page()
    label = answered(page)["decision"]["label"]
    page.click("#judge-wrong")
    wait_for_focus(page, label)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#judge-said:has-text('正确')")
    assert stored(path)[-1].judgement.verdict == "right"


def test_siblings_are_filtered_while_typing(open_page: Callable[..., Any], judged_service: Client) -> None:
    page = open_page()
    steps = [step["label"] for step in answered(page)["paths"][0]["steps"]]
    page.click("#judge-wrong")
    wait_for_focus(page, steps[-1])
    page.click("#chooser nav button:first-child")
    wait_for_focus(page, steps[0])
    page.keyboard.type("a")
    assert rows(page) == ["A"]
    assert "1 / 8 项" in shown(page, "#chooser")
    page.keyboard.press("ArrowLeft")  # within the words
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    assert len(rows(page)) == 8
    page.keyboard.type("化学")  # titles count too
    assert rows(page) == ["C"]
    page.keyboard.press("ArrowDown")
    wait_for_focus(page, "C")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    wait_for_focus(page, children(judged_service, "C")[0])
    assert page.locator("#chooser input").input_value() == ""
    page.keyboard.type("zz")
    assert rows(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.locator("#chooser").is_hidden()
    assert focused(page) == "judge-wrong"
    assert page.locator("#judge-wrong").get_attribute("aria-expanded") == "false"


def test_a_failure_keeps_the_choice_and_sends_the_same_again(open_page: Callable[..., Any], path: Path) -> None:
    page = open_page()
    page.evaluate("crypto.randomUUID = undefined")  # as on a page that is not secure
    label = answered(page, f"{TEXT}，再试")["decision"]["label"]
    sent: list[Any] = []

    def lose(route: Any) -> None:
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fetch()  # it is stored, and the answer is lost
            route.abort()
        elif len(sent) == 2:
            route.fulfill(status=503, json={"error": {"code": "not_stored", "message": ""}})
        else:
            route.continue_()

    page.route("**/feedback", lose)
    before = len(stored(path))
    page.click("#judge-right")
    page.wait_for_selector("#judge-problem:has-text('无法连接服务')")
    wait_for_focus(page, "judge-again")
    page.keyboard.press("Enter")
    page.wait_for_selector("#judge-problem:has-text('判定未能写入文件，没有保存')")
    assert page.locator("#unsent").is_hidden()  # of the shown answer that is said once
    page.click("#judge-again")
    page.wait_for_selector(f"#judge-said:has-text('{label}')")
    assert page.locator("#judge-problem").is_hidden()
    assert sent[0] == sent[1] == sent[2]
    assert len(stored(path)) == before + 1


def test_children_that_do_not_come_are_asked_for_again(open_page: Callable[..., Any]) -> None:
    page = open_page()
    label = answered(page)["decision"]["label"]
    page.route("**/taxonomy*", lambda route: route.abort())
    page.click("#judge-wrong")
    page.wait_for_selector("#chooser .problem:has-text('无法连接服务')")
    wait_for_focus(page, "重试")
    page.unroute("**/taxonomy*")
    page.keyboard.press("Enter")
    wait_for_focus(page, label)


def test_many_children_come_whole(open_page: Callable[..., Any]) -> None:
    page = open_page()
    steps = answered(page)["paths"][0]["steps"]
    page.click("#judge-wrong")
    wait_for_focus(page, steps[-1]["label"])
    page.route("**/taxonomy*", lambda route: route.continue_(url=f"{route.request.url}&limit=3"))
    page.click("#chooser nav button:first-child")
    wait_for_focus(page, steps[0]["label"])
    assert rows(page) == list("ABCDEFGH")


def test_an_undecided_answer_can_be_given_a_label(open_page: Callable[..., Any], path: Path) -> None:
    page = open_page()

    def undecided(route: Any) -> None:
        answer = route.fetch()
        content = answer.json()
        content["decision"] |= {"level": "undecided", "label": None}
        route.fulfill(response=answer, json=content)

    page.route("**/predict", undecided)
    steps = answered(page)["paths"][0]["steps"]
    assert shown(page, "#judge-ask") == "应归入哪个分类号？"
    assert page.locator("#judge-right").is_hidden()
    page.click("#judge-wrong")
    wait_for_focus(page, steps[-1]["label"])
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#judge-said:has-text('拒答 →')")
    one = stored(path)[-1].judgement
    assert (one.verdict, one.predicted, one.probability) == ("corrected", None, None)


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [360, pytest.param(1200, marks=pytest.mark.slow)])
def test_the_chooser_in_every_size_and_theme(
    open_page: Callable[..., Any], theme: str, width: int, tmp_path: Path
) -> None:
    page = open_page(width=width, color_scheme=theme)
    label = answered(page)["decision"]["label"]
    page.click("#judge-wrong")
    wait_for_focus(page, label)
    assert is_narrow(page)
    small = page.locator("#judge button:visible, #chooser input").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().height < 36).map(one => one.textContent)"
    )
    assert small == []
    for selector in ("#judge-ask", "#judge-kept", "#chooser .trail button", "#chooser .bar b", "#chooser button.main"):
        assert contrast(page, selector) >= 4.5, selector
    page.screenshot(path=tmp_path / "chooser.png", full_page=True)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#judge-said:not(:empty)")
    page.wait_for_selector("#judge-said:has-text('已保存')")
    assert contrast(page, "#judge-said") >= 4.5


def test_titles_of_a_foreign_table_are_never_markup(browser: Any, deep: HierarchicalClassifier, tmp_path: Path) -> None:
    titles = dict.fromkeys("ABCDEFGH", "<img src=x onerror=alert(1)>")
    titled = HierarchicalClassifier(deep.system.with_titles(titles), None, {})
    feedback = FeedbackSettings(FeedbackStore.open(tmp_path / "f.sqlite", create=True))
    with serving(create_app(titled, ServiceSettings(rate=0), feedback=feedback)) as client:
        opening = _opening(browser, client)
        page = next(opening)()
        steps = answered(page)["paths"][0]["steps"]
        page.click("#judge-wrong")
        wait_for_focus(page, steps[-1]["label"])
        page.click("#chooser nav button:first-child")
        wait_for_focus(page, steps[0]["label"])
        assert "<img src=x" in shown(page, "#chooser")
        assert page.locator("#chooser img").count() == 0
        assert list(opening) == []


def other(page: Any, level: str) -> str:
    """Choose a sibling of the answer's label; its code."""
    opener = page.locator(f'#steps [data-level="{level}"]')
    own = opener.locator("b").inner_text()
    opener.click()
    page.wait_for_selector(f"#siblings-{level} li button")
    button = page.locator(f"#siblings-{level} li button:not([aria-current])").first
    code = str(button.locator("b").inner_text())
    assert code != own
    with page.expect_response("**/predict"):
        button.click()
    page.wait_for_selector("#forced:not([hidden])")
    page.wait_for_selector("#answer[aria-busy=false]")
    return code


def test_a_label_that_a_person_chose_is_no_right_answer_of_the_model(open_page: Callable[..., Any], path: Path) -> None:
    page = open_page()
    free = answered(page)["decision"]
    section = other(page, "section")
    forced = shown(page, "#decision strong").split()[0]
    assert forced[0] == section != free["label"][0]
    page.click("#judge-right")
    page.wait_for_selector("#judge-said:has-text('→')")
    assert shown(page, "#judge-said") == f"{free['label']} → {forced}，已保存"
    one = stored(path)[-1].judgement
    assert (one.verdict, one.label, one.predicted) == ("corrected", forced, free["label"])
    assert one.probability == pytest.approx(free["confidence"])


def test_the_models_own_answer_below_a_chosen_label_is_right(open_page: Callable[..., Any], path: Path) -> None:
    page = open_page()
    answer = answered(page)
    opener = page.locator('#steps [data-level="section"]')
    opener.click()
    with page.expect_response("**/predict"):
        page.locator("#siblings-section [aria-current=true]").click()
    page.wait_for_selector("#forced:not([hidden])")
    page.click("#judge-right")
    page.wait_for_selector("#judge-said:has-text('正确')")
    one = stored(path)[-1].judgement
    assert (one.verdict, one.label) == ("right", answer["decision"]["label"])
    assert one.probability == pytest.approx(answer["decision"]["confidence"])  # not that below the chosen label


def test_a_label_chosen_for_a_changed_text_is_judged_by_what_the_model_says_of_that_text(
    open_page: Callable[..., Any], path: Path
) -> None:
    page = open_page()
    answered(page)
    text = "本发明提供一种治疗糖尿病的中药组合物及其制备方法"
    page.fill("#text", text)
    asked: list[Any] = []
    page.on("response", lambda one: asked.append(one) if one.url.endswith("/predict") else None)
    other(page, "section")
    assert [one.request.post_data_json["force"] == [] for one in asked] == [True, False]
    page.click("#judge-right")
    page.wait_for_selector("#judge-said:has-text('已保存')")
    one = stored(path)[-1].judgement
    assert (one.text, one.predicted) == (text, asked[0].json()["decision"]["label"])


def test_a_judgement_that_fails_is_kept_while_the_next_text_is_classified(
    open_page: Callable[..., Any], path: Path
) -> None:
    page = open_page()
    before, held = len(stored(path)), []
    page.route("**/feedback", lambda route: held.append(route))

    def sent() -> Any:
        while not held:
            page.wait_for_timeout(20)
        return held.pop()

    answered(page, f"{TEXT}，其一")
    page.click("#judge-right")
    first = sent()
    answered(page, f"{TEXT}，其二")
    first.fulfill(status=503, json={"error": {"code": "not_stored", "message": ""}})
    page.wait_for_selector("#unsent:has-text('1 条判定未保存。')")
    assert page.locator("#judge-problem").is_hidden()
    page.click("#judge-right")
    sent().abort()
    page.wait_for_selector("#judge-problem:has-text('无法连接服务')")
    page.click("#clear")
    page.wait_for_selector("#unsent:has-text('2 条判定未保存。')")
    page.click("#language")
    answered(page, f"{TEXT}，其三")
    assert shown(page, "#unsent span") == "2 judgements were not saved."
    page.click("#unsent-again")
    sent().abort()
    page.wait_for_selector("#unsent:has-text('The service cannot be reached')")
    page.unroute("**/feedback")
    page.click("#unsent-again")
    page.wait_for_selector("#unsent", state="hidden")
    texts = [one.judgement.text[-2:] for one in stored(path)[before:]]
    assert texts == ["其一", "其二"]


def test_a_family_that_cannot_be_read_is_not_called_a_text(open_page: Callable[..., Any]) -> None:
    page = open_page()
    answered(page)
    refusal = {"error": {"code": "unknown_label", "message": ""}}
    page.route("**/taxonomy*", lambda route: route.fulfill(status=422, json=refusal))
    page.click("#judge-wrong")
    page.wait_for_selector("#chooser .problem:has-text('无法读取分类表。')")


def test_a_key_that_empties_the_filter_does_not_climb(open_page: Callable[..., Any]) -> None:
    page = open_page()
    label = answered(page)["decision"]["label"]
    page.click("#judge-wrong")
    wait_for_focus(page, label)
    assert page.locator("#chooser").get_attribute("aria-live") == "off"  # the answer around it is read out by itself
    trail = page.locator("#chooser nav button").count()
    page.focus("#chooser input")
    page.keyboard.type("zz")
    for _ in range(4):  # held: the browser repeats it
        page.keyboard.down("Backspace")
    assert page.locator("#chooser input").input_value() == ""
    assert page.locator("#chooser nav button").count() == trail
    page.keyboard.up("Backspace")
    page.keyboard.press("Backspace")
    page.wait_for_function(f"document.querySelectorAll('#chooser nav button').length === {trail - 1}")


def test_a_blocked_label_is_marked_and_only_a_person_can_name_it(browser: Any, made: World, tmp_path: Path) -> None:
    plain = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))
    (first,) = plain.predict([TEXT])
    blocked = "A" if first.paths[0].labels[0] != "A" else "B"
    (tmp_path / "list.csv").write_text(f"code,reason\n{blocked},closed\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"), blocked=tmp_path / "list.csv")
    feedback = FeedbackSettings(FeedbackStore.open(tmp_path / "f.sqlite", create=True))
    with serving(create_app(own, ServiceSettings(rate=0), feedback=feedback)) as client:
        opening = _opening(browser, client)
        page = next(opening)()
        answered(page)
        page.click('#steps [data-level="section"]')
        row = page.locator(f"#siblings-section button:has(b:text-is('{blocked}'))")
        assert "已停用" in row.inner_text()
        assert row.get_attribute("aria-disabled") == "true"
        assert contrast(page, "#siblings-section [aria-disabled=true] b") >= 4.5
        row.click(force=True)
        assert page.locator("#forced").is_hidden()
        page.click("#judge-wrong")
        wait_for_focus(page, first.paths[0].label)
        page.click("#chooser nav button:first-child")
        wait_for_focus(page, first.paths[0].labels[0])
        named = page.locator(f"#chooser button[data-code={blocked}]")
        assert "已停用" in named.inner_text()
        named.click()
        wait_for_focus(page, children(client, blocked)[0])
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#judge-said:has-text('已保存')")
        assert stored(tmp_path / "f.sqlite")[-1].judgement.label == children(client, blocked)[0]
        assert list(opening) == []


@pytest.mark.parametrize("had", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_chosen_label_that_is_refused_leaves_the_page_as_it_was(open_page: Callable[..., Any], had: bool) -> None:
    page = open_page()
    answered(page)
    before = f"section:{other(page, 'section')}" if had else None
    page.route("**/predict", lambda route: route.fulfill(status=422, json={"error": {"code": "blocked_label"}}))
    page.click('#steps [data-level="class"]')
    page.wait_for_selector("#siblings-class li button")
    page.locator("#siblings-class li button").last.click()
    page.wait_for_selector("#problem:has-text('已停用')")
    page.unroute("**/predict")
    with page.expect_response("**/predict") as answer:
        page.click("button[type=submit]")
    assert answer.value.request.post_data_json["force"] == ([before] if before else [])
    page.wait_for_selector("#problem", state="hidden")
