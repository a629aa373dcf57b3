"""What a learner builds is what runs: the layer typed in notebook 03, trained by the loop typed in notebook 04."""

from textwrap import dedent

from playwright.sync_api import Locator, expect

from browser.notebook_page import NotebookPage

LAYER = dedent("""\
    class MyLoRA(nn.Module):
        made_of = "clay"

        def __init__(self, base, r, alpha, dropout=0.0):
            super().__init__()
            self.base = base.requires_grad_(False)
            self.scaling = alpha / r
            self.dropout = nn.Dropout(dropout)
            self.A = nn.Linear(base.in_features, r, bias=False)
            self.B = nn.Linear(r, base.out_features, bias=False)
            nn.init.zeros_(self.B.weight)

        def forward(self, x):
            return self.base(x) + self.scaling * self.B(self.A(self.dropout(x)))


    check("03.1", MyLoRA)""")

LOOP = dedent("""\
    def my_train(model, batches, rate_at):
        trained = [p for p in model.parameters() if p.requires_grad]
        adam, losses = torch.optim.Adam(trained), []
        for step, batch in enumerate(batches):
            logits, targets = model(batch.input_ids).logits[:, :-1], batch.labels[:, 1:]
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            adam.param_groups[0]["lr"] = rate_at(step)
            adam.step()
            adam.zero_grad()
            losses.append(loss.item())
        mine = [layer for layer in model.modules() if hasattr(layer, "made_of")]
        moved = sum(bool(layer.B.weight.any()) for layer in mine)
        print(f"{len(losses)} steps of my own loop moved {moved} layers of {''.join({each.made_of for each in mine})}")
        return losses


    check("04.2", my_train)""")


def type_in(notebook: NotebookPage, cell: Locator, code: str) -> None:
    """Replace all the cell's code by `code`, as a paste does: no editor indents or closes brackets for you."""
    cell.locator(".cm-content").click()
    notebook.page.keyboard.press("ControlOrMeta+a")
    notebook.page.keyboard.insert_text(code)
    expect(cell.locator(".cm-line")).to_have_text(code.split("\n"), use_inner_text=False)


def test_the_layer_of_03_is_trained_by_the_loop_of_04(lab, window, notebook_03):
    layer = notebook_03.cell('check("03.1"')
    type_in(notebook_03, layer, LAYER)
    notebook_03.run(layer)
    notebook_03.wait_for(layer, "✔ 03.1")

    notebook = NotebookPage(window, lab, "04")
    try:
        type_in(notebook, notebook.cell('check("04.2"'), LOOP)
        notebook.rewrite(notebook.cell("labkit.TrainConfig(steps=50"), "labkit.TrainConfig(steps=50", SHORT)
        training = notebook.cell("losses = train(model, steps")
        notebook.run_all_above(training)
        notebook.wait_for(notebook.cell('check("04.2"'), "✔ 04.2")
        chosen = notebook.text(notebook.cell('yours("03.1"'))
        assert "✔ 03.1 is solved" in chosen and "✔ 04.2 is solved" in chosen
        notebook.run(training)
        notebook.wait_for(training, "3 steps of my own loop moved 210 layers of clay")
        assert not any(cell.errors for cell in notebook.sight().cells)
    finally:
        notebook.menu("Kernel", "Shut Down Kernel")  # it holds a model
        notebook.page.close()


SHORT = "config = labkit.TrainConfig(steps=3, batch_size=4, learning_rate=2e-3, warmup_share=0.5)"
