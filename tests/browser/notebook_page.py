"""A notebook open in JupyterLab, and what a learner does with it. Every step waits for its outcome, none for a time."""

from dataclasses import dataclass

import nbformat
from playwright.sync_api import BrowserContext, Locator, expect

from browser.jupyterlab import Lab
from labkit.lab.outputs import is_folded

_PATIENCE = 400_000  # milliseconds: on a busy machine a kernel takes a minute to start, and notebook 00 trains for five
expect.set_options(timeout=_PATIENCE)

_KIND = '[data-mime-type="application/vnd.jupyter.{}"]'


@dataclass(frozen=True)
class CellSight:
    """What a code cell shows.

    Args:
        prompt: ``"[3]:"``.
        code: without line ends.
        errors: its error messages, and what it wrote to stderr, warnings for example.
        output: all text below it.
        widgets: how many live widgets are below it.
    """

    prompt: str
    code: str
    errors: list[str]
    output: str
    widgets: int


@dataclass(frozen=True)
class Sight:
    """What a notebook's page shows.

    Args:
        cells: its code cells.
        popups: dialogs and notifications that stand over it.
        complaints: errors and warnings in the browser's console since it was opened.
    """

    cells: list[CellSight]
    popups: list[str]
    complaints: list[str]


class NotebookPage:
    """Notebook `number`, opened in a tab of its own, its kernel started.

    Attributes:
        page: Playwright's page.
        file: the notebook, in the copy of the course.
        complaints: as in :class:`Sight`.
    """

    def __init__(self, window: BrowserContext, lab: Lab, number: str):
        [self.file] = (lab.course / "notebooks").glob(f"{number}_*.ipynb")
        self.page, self.complaints, self._count = window.new_page(), [], 0
        self.page.set_default_timeout(_PATIENCE)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(lab.address.replace("00_start_here.ipynb", self.file.name))
        code = [cell for cell in nbformat.read(self.file, as_version=4).cells if cell.cell_type == "code"]
        expect(self.code_cells).to_have_count(len(code))  # a long page comes in parts
        self.wait_until_idle()
        if folded := sum(
            map(is_folded, code)
        ):  # solutions below their exercises; JupyterLab takes their code off the page
            expect(self.page.locator(".jp-Notebook .jp-InputPlaceholder")).to_have_count(folded, timeout=20_000)
            self.menu("View", "Expand All Code")
            expect(self.page.locator(".jp-Notebook .jp-InputPlaceholder")).to_have_count(0, timeout=20_000)

    def wait_until_idle(self) -> None:
        """Until the kernel is there and has nothing to do."""
        expect(self.page.locator(".jp-Toolbar-kernelName")).to_have_text("Python 3 (ipykernel)")
        expect(self._idle).to_have_count(1)

    @property
    def _idle(self) -> Locator:
        return self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')

    # What is on the page. Text comes from the document, because JupyterLab does not draw what is far from view.

    @property
    def code_cells(self) -> Locator:
        return self.page.locator(".jp-Notebook .jp-CodeCell")

    def cell(self, code: str) -> Locator:
        """The code cell that has `code` in one of its lines."""
        return self.code_cells.filter(has=self.page.locator(".cm-line", has_text=code))

    def prompt(self, cell: Locator) -> Locator:
        return cell.locator(".jp-InputPrompt")

    def output(self, cell: Locator) -> Locator:
        return cell.locator(".jp-OutputArea-output")

    def error(self, cell: Locator) -> Locator:
        """Its error, or what it wrote to stderr: JupyterLab shows a traceback as the one kind or as the other."""
        return cell.locator(f"{_KIND.format('error')}, {_KIND.format('stderr')}")

    def text(self, cell: Locator) -> str:
        """What stands below the cell now."""
        return "\n".join(self.output(cell).all_text_contents())

    def wait_for(self, cell: Locator, text: str) -> None:
        """Until `text` stands below the cell."""
        expect(self.output(cell).filter(has_text=text)).to_have_count(1)

    def sight(self) -> Sight:
        """All there is to see now."""
        cells = [
            CellSight(
                prompt=self.prompt(cell).text_content(),
                code=cell.locator(".cm-content").text_content(),
                errors=self.error(cell).all_text_contents(),
                output=self.text(cell),
                widgets=cell.locator(".jp-OutputArea-output > .jupyter-widgets").count(),
            )
            for cell in self.code_cells.all()
        ]
        popups = self.page.locator(".jp-Dialog, .Toastify__toast").all_text_contents()
        return Sight(cells, popups, list(self.complaints))

    # What a learner does

    def menu(self, name: str, entry: str) -> None:
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.locator(".lm-Menu").get_by_text(entry, exact=True).click()

    def run_all(self) -> None:
        self.menu("Run", "Run All Cells")
        self._wait_for_cells(self.code_cells.count())

    def run_all_above(self, cell: Locator) -> None:
        self.prompt(cell).click()
        self.menu("Run", "Run All Above Selected Cell")
        self._wait_for_cells(cell.locator("xpath=preceding-sibling::*[contains(@class, 'jp-CodeCell')]").count())

    def _wait_for_cells(self, cells: int) -> None:
        self._count += cells
        waiting = self.prompt(self.code_cells).filter(has_text="[*]")
        expect(waiting).not_to_have_count(0)
        expect(waiting).to_have_count(0)
        self.wait_until_idle()

    def run(self, cell: Locator) -> None:
        """Shift-Enter in the cell."""
        cell.locator(".cm-content").press("Shift+Enter")
        self._count += 1
        expect(self.prompt(cell)).to_have_text(f"[{self._count}]:")
        self.wait_until_idle()

    def rewrite(self, cell: Locator, old: str, new: str) -> None:
        """Type `new` in place of the line of code that holds `old`; its indentation stays."""
        cell.locator(".cm-line", has_text=old).click()
        for key in ("Home", "Shift+End"):
            self.page.keyboard.press(key)
        self.page.keyboard.type(new)

    def option(self, cell: Locator, text: str) -> Locator:
        """The radio button."""
        return cell.get_by_role("radio", name=text.replace("`", ""), exact=True)

    def restart_kernel(self) -> None:
        self.menu("Kernel", "Restart Kernel…")
        self.page.locator(".jp-Dialog").get_by_text("Restart", exact=True).click()
        expect(self._idle).to_have_count(0)
        self.wait_until_idle()
        self._count = 0

    def save(self) -> None:
        self.menu("File", "Save Notebook")
        expect(self.page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
