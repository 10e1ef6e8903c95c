"""The page in a real browser: Chromium of the machine, driven by Playwright. No request leaves the machine."""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from patent_hier.data.layout import find_text
from patent_hier.data.raw import RawFormat
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.web.app import create_app
from patent_hier.web.guard import ServiceSettings
from tests.inference.worlds import World, raw_row, raw_text
from tests.web.serving import Client, serving

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
TEXT = "一种激光测距装置，包括壳体和光电探测器"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync"]

NEEDS_BROWSER = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; install it, or name it: CHROMIUM=/path"),
    pytest.mark.xdist_group("browser"),
]
pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any, service: Client) -> Iterator[Callable[..., Any]]:
    yield from _opening(browser, service)


@pytest.fixture
def open_deep_page(browser: Any, deep_service: Client) -> Iterator[Callable[..., Any]]:
    yield from _opening(browser, deep_service)


def _opening(browser: Any, service: Client) -> Iterator[Callable[..., Any]]:
    """Opens the page; at the end nothing may have gone wrong in it, or elsewhere."""
    contexts, troubles = [], []

    def opened(width: int = 1200, height: int = 900, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: troubles.append(asked.url) if not is_own(asked.url, service) else None)
        page.on("console", lambda said: troubles.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(service.address)
        page.wait_for_selector("#model:not(:empty)")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def is_own(url: str, service: Client) -> bool:
    return url.startswith((service.address, f"blob:{service.address}", "data:"))


def classify(page: Any, text: str = TEXT) -> Any:
    """The last answer: with the reasons, which come behind the first."""
    page.fill("#text", text)
    with page.expect_response(lambda answer: '"explain":true' in (answer.request.post_data or "")) as answered:
        page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_selector("#reasons:not([hidden])")
    return answered.value.json()


def shown(page: Any, selector: str) -> str:
    return str(page.locator(selector).inner_text())


def test_a_text_is_classified_and_explained(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert page.locator("#demo").is_visible()
    assert shown(page, "#empty").startswith("粘贴一篇摘要")
    answer = classify(page)
    assert answer["decision"]["label"] in shown(page, "#decision")
    codes = page.locator("#level-class b").all_inner_texts()
    assert codes == [path["label"] for path in answer["paths"][:3]]
    assert page.locator("#steps b").all_inner_texts() == [step["label"] for step in answer["paths"][0]["steps"]]
    assert page.locator("#levels h2").all_inner_texts() == ["部", "大类"]
    widths = page.locator("#level-class .fill").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width / one.parentElement.clientWidth)"
    )
    assert widths == pytest.approx([path["probability"] for path in answer["paths"][:3]], abs=0.02)
    assert shown(page, "#spans") == TEXT
    assert page.locator("#spans mark").count() == len(answer["explanation"]["spans"])
    assert page.locator("#neighbours li").count() == 5


def test_an_answer_does_not_wait_for_its_reasons(open_page: Callable[..., Any]) -> None:
    page = open_page()
    waiting = []

    def hold(route: Any) -> None:
        if '"explain":true' in (route.request.post_data or ""):
            waiting.append(route)
        else:
            route.continue_()

    page.route("**/predict", hold)
    page.fill("#text", TEXT)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_selector("#explaining:not([hidden])")
    assert page.locator("#reasons").is_hidden()
    waiting[0].continue_()
    page.wait_for_selector("#reasons:not([hidden])")
    assert page.locator("#explaining").is_hidden()


def test_a_section_is_chosen_and_given_back(open_page: Callable[..., Any]) -> None:
    page = open_page()
    classify(page)
    second = page.locator("#level-section button").nth(1)
    section = second.locator("b").inner_text()
    with page.expect_response("**/predict") as answered:
        second.click()
    assert {path["steps"][0]["label"] for path in answered.value.json()["paths"]} == {section}
    page.wait_for_selector("#forced:not([hidden])")
    assert all(code.startswith(section) for code in page.locator("#level-class b").all_inner_texts())
    with page.expect_response("**/predict"):
        page.click("#release")
    page.wait_for_selector("#forced", state="hidden")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_level_of_a_deep_model_is_shown_and_can_be_chosen(
    open_deep_page: Callable[..., Any], language: str
) -> None:
    page = open_deep_page()
    if language == "en":
        page.click("#language")
    answer = classify(page)
    assert len(page.locator("#levels h2").all_inner_texts()) == 5
    for level, scores in answer["levels"].items():
        assert page.locator(f"#level-{level} b").all_inner_texts() == [one["label"] for one in scores[:3]]
    assert page.locator("#steps > li > .bar b").all_inner_texts() == [
        step["label"] for step in answer["paths"][0]["steps"]
    ]
    assert page.locator("#level-subgroup button").count() == 0
    for level in ("subclass", "main_group"):
        label = page.locator(f"#level-{level} b").nth(1).inner_text()
        page.locator(f"#level-{level} button").nth(1).click()
        page.wait_for_selector(f"#forced:has-text('{label}')")
        page.wait_for_selector(f"#steps [data-level={level}]:has-text('{label}')")  # the path leads through it
        assert page.locator(f"#level-{level} [aria-pressed=true] b").all_inner_texts() == [label]
        page.click("#release")
        page.wait_for_selector("#forced", state="hidden")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 360])
def test_a_sibling_is_chosen_by_keys_at_every_level(
    open_deep_page: Callable[..., Any], deep_service: Client, width: int
) -> None:
    page = open_deep_page(width=width)
    page.uncheck("#why")
    page.fill("#text", TEXT)
    page.keyboard.press("Control+Enter")
    parent = ""
    for level in ("section", "class", "subclass", "main_group", "subgroup"):
        opener = f"#steps [data-level={level}]"
        page.wait_for_selector(opener)
        page.focus(opener)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#siblings-{level} button")
        family = deep_service.get(f"/taxonomy?limit=500&parent={parent}" if parent else "/taxonomy").content
        codes = page.locator(f"#siblings-{level} b").all_inner_texts()
        assert sorted(codes) == sorted(one["code"] for one in family["children"])
        shares = page.locator(f"#siblings-{level} .bar > span:nth-of-type(2)").all_inner_texts()
        known = [float(share.rstrip(" %")) for share in shares if share]
        assert known == sorted(known, reverse=True)  # the likeliest first, then those of which nothing is known
        assert shares[: len(known)] == shares[: len([share for share in shares if share])]
        page.keyboard.press("Tab")  # to the label of the path
        assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.querySelector('b').textContent") == codes[-1]
        with page.expect_response("**/predict") as answered:
            page.keyboard.press("Enter")
        assert answered.value.request.post_data_json["force"] == [f"{level}:{codes[-1]}"]
        (name,) = {path["steps"][len(family["path"])]["label"] for path in answered.value.json()["paths"]}
        assert name == codes[-1]
        page.wait_for_selector(f"{opener}:has-text('{name}')")
        page.wait_for_selector(f"{opener}:focus")  # and goes on from there
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        parent = quote(name)


@pytest.mark.slow
def test_siblings_are_closed_by_escape_and_asked_for_again_after_a_failure(open_page: Callable[..., Any]) -> None:
    page = open_page()
    classify(page)
    page.route("**/taxonomy*", lambda route: route.abort())
    page.click("#steps [data-level=class]")
    page.wait_for_selector("#siblings-class .problem:has-text('无法连接服务')")
    page.unroute("**/taxonomy*")
    page.click("#siblings-class button:has-text('重试')")
    page.wait_for_selector("#siblings-class ul button")
    page.focus("#siblings-class [aria-current]")
    page.keyboard.press("Escape")
    assert page.locator("#siblings-class").is_hidden()
    assert page.evaluate("document.activeElement.dataset.level") == "class"
    assert page.locator("#steps [data-level=class]").get_attribute("aria-expanded") == "false"


@pytest.mark.slow
def test_many_siblings_come_in_pieces(open_page: Callable[..., Any]) -> None:
    page = open_page()
    classify(page)

    def of_two(route: Any) -> None:
        address = route.request.url
        assert "limit" not in address
        route.continue_(url=f"{address}&limit=2")

    page.route("**/taxonomy*", of_two)
    page.click("#steps [data-level=section]")
    for count in (2, 4, 6, 8):
        page.wait_for_selector(f"#siblings-section li:nth-of-type({count})")
        assert page.locator("#siblings-section li").count() == count
        if count < 8:
            page.click(f"#siblings-section > button:has-text('其余 {8 - count} 项')")
    assert page.locator("#siblings-section > button").count() == 0
    assert sorted(page.locator("#siblings-section b").all_inner_texts()) == list("ABCDEFGH")


def test_the_slider_says_what_it_means_and_decides(open_page: Callable[..., Any], service: Client) -> None:
    page = open_page()
    page.check("#careful")
    targets = service.get("/about").content["targets"]
    for target in (50, 90, 99):
        page.locator("#target").evaluate("(slider, value) => { slider.value = value; }", str(target))
        page.locator("#target").dispatch_event("input")
        assert shown(page, "#percent") == f"{target} %"
        reached = targets[f"{target / 100:.2f}"]
        assert f"{100 * reached['undecided']:.1f} %" in shown(page, "#meaning")
        assert str(reached["n_documents"]) in shown(page, "#meaning")
    answer = classify(page)
    assert answer["decision"]["target_accuracy"] == 0.99
    kind = {"class": "deepest", "section": "above", "undecided": "undecided"}[answer["decision"]["level"]]
    assert page.locator("#decision").get_attribute("class") == kind


def test_keys_alone_are_enough(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.focus("#text")
    page.keyboard.type("LED")
    with page.expect_response("**/predict"):
        page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result:not([hidden])")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#level-section') !== null"):
            break
    with page.expect_response("**/predict"):
        page.keyboard.press("Enter")
    page.wait_for_selector("#forced:not([hidden])")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_file_is_classified_and_given_back(open_page: Callable[..., Any], tmp_path: Path, encoding: str) -> None:
    rows = [raw_row(publication_number=f"CN{n}A", abstract=f"=HYPERLINK(1) 一种激光测距装置{n}") for n in range(230)]
    rows.insert(3, raw_row(publication_number="CN-empty", abstract=""))
    file = tmp_path / "申请.csv"
    file.write_bytes(raw_text(*rows).encode(encoding))
    page = open_page()
    page.set_input_files("#file", file)
    page.wait_for_selector("#download:not([hidden])")
    assert "231 / 231" in shown(page, "#done")
    assert page.locator("#rows tr").count() == 231
    assert "error" in str(page.locator("#rows tr").nth(3).locator("td").nth(2).get_attribute("class"))
    with page.expect_download() as given:
        page.click("#download")
    assert given.value.suggested_filename == "申请.predicted.csv"
    content = Path(given.value.path()).read_text("utf-8-sig")
    lines = list(csv.DictReader(content.splitlines()))
    assert [line["document_id"] for line in lines[2:5]] == ["CN2A", "CN-empty", "CN3A"]
    assert all(line["text"].startswith("'=HYPERLINK") for line in lines if line["text"])
    assert [bool(line["error"]) for line in lines] == [n == 3 for n in range(231)]


@pytest.fixture(scope="module")
def title_service(made: World) -> Iterator[Client]:
    """A model that was trained on the column 发明名称."""
    yield from _service_of(made, "发明名称")


@pytest.fixture(scope="module")
def two_column_service(made: World) -> Iterator[Client]:
    yield from _service_of(made, "发明名称", "摘要")


def _service_of(made: World, *columns: str) -> Iterator[Client]:
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))
    own.system.raw = replace(own.system.raw, text=columns)
    with serving(create_app(own, ServiceSettings(rate=0))) as client:
        yield client


@pytest.fixture
def open_title_page(browser: Any, title_service: Client) -> Iterator[Callable[..., Any]]:
    yield from _opening(browser, title_service)


@pytest.fixture
def open_two_column_page(browser: Any, two_column_service: Client) -> Iterator[Callable[..., Any]]:
    yield from _opening(browser, two_column_service)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("公告号,专利名称", "文本 = 专利名称"),
        ("公告号,标 题 (中文)", "文本 = 标 题 (中文)"),
        ("公告号,TITLE", "文本 = TITLE"),
        ("公告号,发明 名称,标题", ""),
        ("公告号,标题,Title,摘要,名称", "文本 = 名称（未采用：标题、Title）"),
        ("公告号,标题,专利名称", "文本 = 专利名称"),
    ],
)
def test_columns_are_found_as_in_the_command_line(
    open_title_page: Callable[..., Any], title_service: Client, tmp_path: Path, header: str, expected: str
) -> None:
    names = header.split(",")
    layout = find_text(names, RawFormat(text=("发明名称",)), "x")
    (tmp_path / "x.csv").write_text(f"{header}\nCN7A,{','.join(f'一种锁{n}' for n in range(1, len(names)))}\n", "utf-8")
    (tmp_path / "x.jsonl").write_text(
        json.dumps(dict(zip(names, ["CN7A", *(f"一种锁{n}" for n in range(1, len(names)))], strict=True))), "utf-8"
    )
    page = open_title_page()
    for file in ("x.csv", "x.jsonl"):
        page.set_input_files("#file", tmp_path / file)
        page.wait_for_selector("#download:not([hidden])")
        cells = page.locator("#rows td").all_inner_texts()
        assert cells[:2] == ["CN7A", f"一种锁{layout.text_positions[0]}"]
        assert page.locator("#answers").is_visible()
        assert page.locator("#progress").is_visible()
        assert page.locator("#columns").is_visible() == bool(expected)
        assert page.locator("#columns").inner_text() == (f"按表头识别的列：{expected}" if expected else "")
    page.click("#language")
    page.set_input_files("#file", tmp_path / "x.csv")
    page.wait_for_selector("#download:not([hidden])")
    line = (layout.line("--text") or "").removesuffix("; use --text to choose others")
    said = page.locator("#columns").inner_text().removeprefix("columns found by their headers: ")
    assert said.startswith("text = ") == bool(expected)
    assert line.endswith(said)  # before it the command line names columns that the page does not read


@pytest.mark.slow
def test_each_of_two_columns_is_found(open_two_column_page: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("摘要（英文）,Patent No,标题\n有一锁体,CN7A,一种锁\n", "utf-8")
    page = open_two_column_page()
    page.set_input_files("#file", tmp_path / "x.csv")
    page.wait_for_selector("#download:not([hidden])")
    assert page.locator("#rows td").all_inner_texts()[:2] == ["CN7A", "一种锁。有一锁体"]
    assert shown(page, "#columns") == "按表头识别的列：文本（发明名称） = 标题，文本（摘要） = 摘要（英文）"


@pytest.mark.slow
@pytest.mark.parametrize("file", ["x.csv", "x.jsonl"])
def test_a_file_without_its_columns_shows_what_it_has(
    open_two_column_page: Callable[..., Any], tmp_path: Path, file: str
) -> None:
    names = ["公开号", "标题", "<b>权利要求</b>", "长" * 50, *(f"列{n}" for n in range(50))]
    is_csv = file == "x.csv"
    content = ",".join(names) + "\n" if is_csv else json.dumps(dict.fromkeys(names, "一种锁"))
    (tmp_path / file).write_text(content, "utf-8")
    page = open_two_column_page()
    page.set_input_files("#file", tmp_path / file)
    page.wait_for_selector("#batch-problem:not([hidden])")
    long = "长" * 40
    listed = "、".join([*names[:3], f"{long}…", *names[4:40], "…"])
    assert shown(page, "#batch-problem") == f"文件必须包含以下各列：发明名称、摘要。文件中的列：{listed}。"
    for selector in ("#progress", "#answers", "#columns", "#stop", "#download"):
        assert page.locator(selector).is_hidden(), selector
    page.click("#language")
    page.set_input_files("#file", tmp_path / file)
    page.wait_for_function("document.querySelector('#batch-problem').textContent.startsWith('The file must have')")
    assert "these columns: 发明名称, 摘要. Its columns are 公开号, 标题, <b>" in shown(page, "#batch-problem")
    (tmp_path / "x.txt").write_text("一种锁\n", "utf-8")
    page.set_input_files("#file", tmp_path / "x.txt")
    page.wait_for_selector("#download:not([hidden])")
    assert page.locator("#batch-problem").is_hidden()
    assert page.locator("#answers").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [("", "文件中没有可读取的文本。"), ("摘要,摘 要\n一,二\n", "文件中有多列名为 摘要，请只保留一列，其余改名。")],
)
def test_a_file_that_cannot_be_read(open_page: Callable[..., Any], tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(content, "utf-8")
    page = open_page()
    page.set_input_files("#file", tmp_path / "x.csv")
    page.wait_for_selector("#batch-problem:not([hidden])")
    assert shown(page, "#batch-problem") == message
    assert page.locator("#progress").is_hidden()
    assert page.locator("#answers").is_hidden()


def test_a_file_is_sorted_by_what_to_review_first(open_page: Callable[..., Any], tmp_path: Path) -> None:
    texts = ["一种激光测距装置", "", "一种锁", "一种治疗糖尿病的中药组合物", "一种电池热管理系统", "LED"]
    (tmp_path / "x.txt").write_text("\n".join(texts) + "\n", "utf-8")
    page = open_page()
    with page.expect_response("**/batch") as answered:
        page.set_input_files("#file", tmp_path / "x.txt")
    page.wait_for_selector("#download:not([hidden])")
    known = iter(answered.value.json()["results"])
    risks = [next(known)["review"] if text else -1.0 for text in texts]
    assert len(set(risks)) == 6
    in_order = [str(place + 1) for place in sorted(range(6), key=lambda place: -risks[place])]
    ids = page.locator("#rows tr td:first-child")
    assert ids.all_inner_texts() == ["1", "2", "3", "4", "5", "6"]
    assert page.locator("#review").get_attribute("aria-sort") == "none"
    page.focus("#by-review")
    page.keyboard.press("Enter")
    assert page.locator("#review").get_attribute("aria-sort") == "descending"
    assert ids.all_inner_texts() == in_order
    assert in_order[-1] == "2"  # what has no answer stands last
    cells = page.locator("#rows tr td:last-child").all_inner_texts()
    assert [cell.split()[0] for cell in cells[:-1]] == [
        f"{100 * risk:.0f}" for risk in sorted(risks[:1] + risks[2:])[::-1]
    ]
    assert "的概率接近" in "".join(cells) or "各分类号的概率均较低" in "".join(cells)
    with page.expect_download() as given:
        page.click("#download")
    lines = list(csv.DictReader(Path(given.value.path()).read_text("utf-8-sig").splitlines()))
    assert [float(line["review"] or -1) for line in lines] == pytest.approx(risks, abs=1e-6)
    assert {line["why"] for line in lines} <= {"", "close", "unsure"}
    page.click("#language")
    assert shown(page, "#by-review") == "Review first"
    page.click("#by-review")
    assert ids.all_inner_texts() == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.slow
def test_rows_that_come_later_find_their_place(open_page: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n".join(f"一种锁{n}" for n in range(230)), "utf-8")
    page, waiting = open_page(), []

    def hold(route: Any) -> None:
        waiting.append(route)
        if len(waiting) != 2:
            route.continue_()

    page.route("**/batch", hold)
    page.set_input_files("#file", tmp_path / "x.txt")
    page.wait_for_selector("#rows tr:nth-child(100)")
    page.click("#by-review")
    waiting[1].continue_()
    page.wait_for_selector("#download:not([hidden])")
    assert page.locator("#rows tr").count() == 230
    risks = [int(cell.split()[0]) for cell in page.locator("#rows tr td:last-child").all_inner_texts()]
    assert risks == sorted(risks, reverse=True)


@pytest.mark.slow
def test_rows_that_could_not_be_reviewed_are_sorted_by_probability(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_text("一种激光测距装置\n一种锁\n一种电池热管理系统\n", "utf-8")
    page = open_page()

    def unreviewed(route: Any) -> None:
        answer = route.fetch()
        results = [{"prediction": one["prediction"]} for one in answer.json()["results"]]
        route.fulfill(response=answer, json={"results": results, "note": "busy"})

    page.route("**/batch", unreviewed)
    page.set_input_files("#file", tmp_path / "x.txt")
    page.wait_for_selector("#download:not([hidden])")
    assert "3 篇文献未能估计出错概率，按分类概率排序" in shown(page, "#tally")
    assert shown(page, "#review span") == "出错概率"
    page.click("#by-review")
    shares = [float(cell.split()[0]) for cell in page.locator("#rows tr td:nth-child(4)").all_inner_texts()]
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "a,b\n1,2\n", "文件必须包含以下各列：摘要"),
        ("x.txt", "\n\n", "没有可读取的文本"),
        ("x.jsonl", "{\n", "没有可读取的文本"),
        ("x.xlsx", "PK\x03\x04\x00", "Excel 表格请先另存为 CSV"),
    ],
)
def test_files_that_cannot_be_used(
    open_page: Callable[..., Any], tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    page = open_page()
    page.set_input_files("#file", tmp_path / name)
    page.wait_for_selector("#batch-problem:not([hidden])")
    assert words in shown(page, "#batch-problem")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"), [("x.csv", ";", "gb18030"), ("x.tsv", "\t", "utf-8"), ("x.csv", "\t", "utf-16")]
)
def test_a_table_may_have_other_delimiters(
    open_page: Callable[..., Any], tmp_path: Path, name: str, delimiter: str, encoding: str
) -> None:
    content = f'"公开号,旧"{delimiter}公开号{delimiter}摘要\nx{delimiter}CN7A{delimiter}"一种{delimiter}锁, 含锁体"\n'
    (tmp_path / name).write_text(content, encoding)
    page = open_page()
    page.set_input_files("#file", tmp_path / name)
    page.wait_for_selector("#download:not([hidden])")
    assert page.locator("#rows tr td:first-child").all_inner_texts() == ["CN7A"]
    assert page.locator("#rows tr td:nth-child(2)").all_inner_texts() == [
        " ".join(f"一种{delimiter}锁, 含锁体".split())
    ]


def test_lines_and_objects_are_documents_too(open_page: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("一种锁\n\n一种门\n", "utf-8")
    (tmp_path / "x.jsonl").write_text(json.dumps({"id": "first", "text": "一种锁"}) + "\n{}\n", "utf-8")
    page = open_page()
    for name, ids in (("x.txt", ["1", "2", "3"]), ("x.jsonl", ["first", "2"])):
        page.set_input_files("#file", tmp_path / name)
        page.wait_for_selector("#download:not([hidden])")
        assert page.locator("#rows tr td:first-child").all_inner_texts() == ids


def test_mistakes_are_told_and_mended(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click("button[type=submit]")
    assert shown(page, "#problem") == "请先输入文本。"
    page.fill("#text", "字" * 20_001)
    assert shown(page, "#problem") == "文本过长。"
    page.fill("#text", "。。。")
    page.click("button[type=submit]")
    page.wait_for_selector("#problem:not([hidden])")
    assert shown(page, "#problem") == "文本中没有可读取的内容。"
    page.route("**/predict", lambda route: route.abort())
    page.fill("#text", TEXT)
    page.click("button[type=submit]")
    page.wait_for_selector("#problem:has-text('无法连接服务')")
    page.unroute("**/predict")
    classify(page)
    assert page.locator("#problem").is_hidden()


def test_what_is_pasted_is_never_markup(open_page: Callable[..., Any]) -> None:
    page = open_page()
    hostile = "<svg onload=alert(1)></script><script>document.title='owned'</script>一种锁"
    classify(page, hostile)
    assert shown(page, "#spans") == hostile
    assert page.locator("#spans svg, #spans script").count() == 0
    assert page.title() == "专利分类"


def test_english_and_back(open_page: Callable[..., Any]) -> None:
    page = open_page()
    classify(page)
    page.click("#language")
    assert page.title() == "Patent classification"
    assert page.locator("html").get_attribute("lang") == "en"
    words = shown(page, "main") + shown(page, "footer")
    chinese = [letter for letter in words.replace(TEXT, "") if "\u4e00" <= letter <= "\u9fff"]
    titles = "".join(page.locator("#neighbours li").all_inner_texts())
    assert set(chinese) <= set(titles)
    page.reload()
    assert page.title() == "Patent classification"  # it is remembered
    page.click("#language")
    assert page.title() == "专利分类"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [pytest.param(1200, marks=pytest.mark.slow), 390])
def test_every_size_and_theme(open_page: Callable[..., Any], theme: str, width: int, tmp_path: Path) -> None:
    page = open_page(width=width, color_scheme=theme)
    assert page.locator("html").get_attribute("data-theme") == theme
    page.check("#careful")
    classify(page)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    small = page.locator("button:visible, .file:visible").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().height < 36).map(one => one.textContent)"
    )
    assert small == []  # a finger finds them
    for selector in ("body", "#decision strong", "#model", "button.main", "#demo", ".bar b", ".steps .level"):
        assert contrast(page, selector) >= 4.5, selector
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    page.click("#theme")
    assert page.locator("html").get_attribute("data-theme") != theme


def test_blocked_places_are_listed(browser: Any, made: World, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("code,reason\nG01,<b>由另一部门审查</b>\nA,closed\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"), blocked=path)
    with serving(create_app(own, ServiceSettings(rate=0))) as service:
        opening = _opening(browser, service)
        page = next(opening)()
        assert shown(page, "#blocked summary") == "2 个分类位置已停用，不会出现在分类结果中"
        assert page.locator("#blocked li").first.is_hidden()
        page.click("#blocked summary")
        assert page.locator("#blocked li").all_inner_texts() == ["G01 · <b>由另一部门审查</b>", "A · closed"]
        page.click("#language")
        assert shown(page, "#blocked summary") == "2 places are blocked and never given as an answer"
        assert next(opening, None) is None


def test_nothing_is_said_of_blocked_places_where_there_are_none(open_page: Callable[..., Any]) -> None:
    assert open_page().locator("#blocked").is_hidden()


def contrast(page: Any, selector: str) -> float:
    """Of a text with what it stands on, as WCAG 2.2 counts it."""
    colours = page.locator(selector).first.evaluate(
        """one => { const ink = getComputedStyle(one).color;
        let ground = one; while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
        return [ink, getComputedStyle(ground).backgroundColor]; }"""  # noqa: E501
    )
    lights = sorted(luminance([int(float(part)) for part in c[c.index("(") + 1 : -1].split(",")[:3]]) for c in colours)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(rgb: list[int]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
