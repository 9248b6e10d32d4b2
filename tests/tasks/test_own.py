"""Tasks and models of one's own: named with the digest of their code, and refused in one line if they break a rule.

`tests/faults/test_own_tasks.py` trains them, in several processes, and kills them.
"""

import os
import re

import pytest

import tasks
from bench.cli import main
from bench.contract import InputError, Task
from bench.engine import dry_run
from bench.runner.config import RunConfig, prepare
from schedules import reference
from tasks import own_model, own_task

NETS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes, width=16, inputs=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, classes)
        )

    def forward(self, x):
        return self.layers(x)
"""

TASK = """
from functools import partial

import numpy as np

from bench.contract import Data, Split
from nets import Net
from tasks import classification


def task(width=16, **settings):
    usual = dict(
        name="any", family="image", source="drawn", batch_size=32, epochs=10, peak_lrs=(0.03, 0.1), layers="mlp",
        load=load, model=partial(Net, 2, width),
    )
    return classification.task(**usual | settings)


def load():
    draw = np.random.default_rng(3)
    return Data(*(split(draw, n) for n in (128, 64, 64)))


def split(draw, n):
    x = draw.normal(size=(n, 8)).astype(np.float32)
    return Split((x,), ((x[:, 0] > 0).astype(np.int64),))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file with a task, and its neighbour with a model, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_task.py").write_text(TASK)
    (tmp_path / "nets.py").write_text(NETS)
    yield tmp_path / "my_task.py"
    forget(tmp_path)


def forget(folder):
    """Undo what the files of a folder leave in this process."""
    import sys

    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(folder))]


def bare(text):
    return re.sub("@[0-9a-f]{8}", "", text)


# ------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits", "digits"),
        ("digits(epochs=30, batch_size=64, weight_decay=0, clip=None)", "digits"),
        ("digits(epochs=5.0, batch_size=16)", "digits(batch_size=16, epochs=5)"),
        ("digits('cnn', eval_epochs=1)", "digits(model='cnn', eval_epochs=1)"),
        ("digits(optimizer=adamw(beta2=0.98), peak_lrs=[0.1, 1.0])", None),
        ("glue('cola', epochs=2)", "glue('cola', epochs=2)"),
        ("linreg(clip=1)", "linreg(clip=1)"),
    ],
)
def test_every_task_takes_the_common_settings(text, name):
    expected = name or "digits(optimizer='adamw(beta2=0.98)', peak_lrs=[0.1, 1])"
    assert tasks.parse(text).name == expected
    again = tasks.parse(expected)
    assert again.name == expected
    assert again.code == tasks.parse(expected.partition("(")[0]).code


def test_settings_are_applied_and_checked():
    it = tasks.parse("digits(batch_size=16, epochs=0.5, weight_decay=1e-3, clip=2.5, eval_epochs=3, peak_lrs=[0.1])")
    assert (it.batch_size, it.epochs, it.weight_decay, it.clip, it.eval_epochs) == (16, 0.5, 1e-3, 2.5, 3)
    assert it.peak_lrs == (0.1,)
    assert tasks.parse("digits", batch_size=8).name == "digits(batch_size=8)"
    for text, words in (
        ("digits(batch_size=0)", "batch_size is 0; it should be a whole number, 1 or more"),
        ("digits(epochs='5')", "epochs is '5'; it should be a finite number above 0"),
        ("digits(peak_lrs=[0.3, 0.1])", "it should be one or more finite numbers above 0, ascending"),
        ("digits(steps=3)", "got an unexpected keyword argument 'steps'"),
    ):
        with pytest.raises(InputError, match=re.escape(words)):
            tasks.parse(text)


def test_the_same_on_the_command_line():
    few = {"suite": "smoke", "tasks": "digits, linreg", "schedules": "constant, cosine", "seeds": 1}
    prepared = prepare(RunConfig(**few, epochs=(1, 3), weight_decays=(0.0, 1e-3), batch_size=100, reference="cosine"))
    cells = prepared.plan.cells
    assert {c.task for c in cells} == {"digits(batch_size=100)", "linreg"}  # 100 is the batch size of linreg
    assert {c.weight_decay for c in cells} == {0.0, 1e-3}
    epoch_steps = {name: len(t.load().train) // t.batch_size for name, t in prepared.tasks.items()}
    assert {(c.task, c.total) for c in cells} == {(name, n * e) for name, n in epoch_steps.items() for e in (1, 3)}
    assert prepared.plan.reference == "cosine"
    assert set(prepared.plan.primary.budgets) == {c.budget for c in cells}
    plain = prepare(RunConfig(**few, budgets=(0.1,))).plan.cells
    thirtieth = prepare(RunConfig(**few | {"tasks": "digits"}, epochs=(3,))).plan.cells
    assert {c.id for c in thirtieth} == {c.id for c in plain if c.task == "digits"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--epochs", "0"), "--epochs 0: give numbers above 0, such as 5,20"),
        (("--epochs", "2", "--budgets", "0.5"), "--epochs and --budgets exclude each other"),
        (("--batch-size", "0"), "task linreg(batch_size=0): batch_size is 0; it should be a whole number, 1 or more"),
        (("--batch-size", "100000"), "a batch of 100000 is more than the "),
        (("--reference", "cosin"), "unknown schedule 'cosin' (did you mean cosine?)"),
        (("--weight-decays", "-1"), "weight decay -1.0 on linreg: give a finite number, 0 or more"),
        (("--optimizer", "sgdd"), "unknown optimizer 'sgdd'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(more, words, capsys):
    assert main.main(["plan", "smoke", "--tasks", "linreg", "--seeds", "1", *more]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


# ---------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my_task.py:task", "my_task.py:task"),
        ("my_task.py:task(width=16)", "my_task.py:task"),
        ("./my_task.py:task(32, epochs=3)", "my_task.py:task(width=32, epochs=3)"),
    ],
)
def test_a_function_in_a_file_is_a_task(mine, text, name):
    it = tasks.parse(text)
    assert isinstance(it, Task)
    assert bare(it.name) == name
    assert tasks.parse(it.name).name == it.name
    assert it.outside
    assert it.model().layers[1].out_features == (32 if "32" in text else 16)
    assert it.load() is it.load()  # read once, though its function does not say so


def test_a_comment_changes_nothing_and_code_of_a_neighbour_does(mine):
    before = tasks.parse("my_task.py:task").name
    mine.write_text(TASK + "\n\n# a comment\n")
    assert tasks.parse("my_task.py:task").name == before
    before_ns = (mine.parent / "nets.py").stat().st_mtime_ns
    (mine.parent / "nets.py").write_text(NETS.replace("nn.ReLU()", "nn.Tanh()"))
    os.utime(mine.parent / "nets.py", ns=(before_ns, before_ns))  # of the same size and second as its cached module
    after = tasks.parse("my_task.py:task")
    assert after.name != before
    assert "Tanh" in str(after.model())  # the new code runs, not what was imported before
    with pytest.raises(InputError, match=r"my_task.py has changed, its digest is [0-9a-f]{8} now, not [0-9a-f]{8}"):
        tasks.parse(before)
    (mine.parent / "nets.py").write_text(NETS)
    assert tasks.parse("my_task.py:task").name == before
    assert "ReLU" in str(tasks.parse(before).model())


def test_in_a_plan_another_version_is_another_task(mine):
    order = RunConfig(suite="smoke", tasks="my_task.py:task", schedules="constant", seeds=1, epochs=(1,))
    before = prepare(order).plan
    assert prepare(order).plan.id == before.id
    mine.write_text(TASK.replace("normal(", "laplace("))
    after = prepare(order).plan
    assert {c.id for c in before.cells}.isdisjoint(c.id for c in after.cells)
    assert {c.task for c in before.cells}.isdisjoint(c.task for c in after.cells)


def test_a_suite_file_names_it_and_imports_its_neighbours(mine):
    (mine.parent / "some.py").write_text("SOME = ('constant', 'cosine')\n")
    (mine.parent / "my_suite.py").write_text(
        "from bench.plan import Grid, Suite\nfrom some import SOME\n\n\ndef suite():\n"
        "    return Suite('mine', (Grid(task='my_task.py:task', schedules=SOME, budgets=(0.1,), seeds=1),))\n"
    )
    cells = prepare(RunConfig(suite="my_suite.py")).plan.cells
    assert {(bare(c.task), c.schedule) for c in cells} == {("my_task.py:task", s) for s in ("constant", "cosine")}


def test_a_package_offers_tasks(mine, tmp_path, monkeypatch):
    (tmp_path / "ownpkg").mkdir()
    (tmp_path / "ownpkg" / "__init__.py").write_text("")
    (tmp_path / "ownpkg" / "mod.py").write_text(TASK.replace("from nets", "from ownpkg.inner"))
    (tmp_path / "ownpkg" / "inner.py").write_text(NETS)
    (tmp_path / "ownpkg-1.dist-info").mkdir()
    (tmp_path / "ownpkg-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: ownpkg\nVersion: 1\n")
    (tmp_path / "ownpkg-1.dist-info" / "entry_points.txt").write_text(f"[{own_task.GROUP}]\nsigns = ownpkg.mod:task\n")
    monkeypatch.syspath_prepend(tmp_path)
    reference.installed.cache_clear()
    it = tasks.parse("signs(width=8)")
    assert bare(it.name) == "ownpkg.mod:task(width=8)"
    assert tasks.parse(it.name).name == it.name
    with pytest.raises(InputError, match=r"unknown task 'sings' \(did you mean signs.*one of your own: my_task.py:fun"):
        tasks.parse("sings")
    (tmp_path / "ownpkg" / "inner.py").write_text(NETS.replace("ReLU", "Tanh"))  # Python has the old one
    with pytest.raises(InputError, match="its code has changed since it was imported: start anew"):
        tasks.parse("signs")
    reference.installed.cache_clear()


def test_a_sound_one_passes(mine):
    dry_run.check(tasks.parse("my_task.py:task"))


CHANGES = {
    "a missing function": ("def task(", "def other(", "task my_task.py:task: my_task.py has no task"),
    "a syntax error": ("def task(width", "def task(width=", "task file my_task.py, line 11: "),
    "no module": ("from nets import Net", "from netz import Net", "No module named 'netz'"),
    "no function": ("def load():", "task = 3\n\ndef load():", "it should be a function or a class, not int"),
    "another type": (
        "return classification.task(**usual | settings)",
        "return usual",
        "task my_task.py:task: it should return a bench.contract.Task, not dict",
    ),
    "an exception": ("usual = dict(", "usual = {}['a'] or dict(", "task my_task.py:task: KeyError: 'a'"),
    "positional settings": ("width=16, **settings", "width=16, *more", "its settings should be named, not taken as *"),
    "no data": ("return Data(*(", "return tuple((", "its load() should return a bench.contract.Data of three splits"),
    "lists": ("(x,), (", "(x.tolist(),), (", "train: inputs and target should be tuples of numpy arrays of numbers"),
    "lengths": ("Split((x,)", "Split((x[1:],)", "train: its arrays hold 128, 127 examples; they should hold equally"),
    "not finite": (".astype(np.float32)", ".astype(np.float32) / 0", "train: its arrays hold NaN or infinity"),
    "one class": ("(x[:, 0] > 0)", "(x[:, 0] > 99)", "train: all 128 targets are 0: there is nothing to learn"),
    "no seed": ("default_rng(3)", "default_rng()", "its load() gives other data when it is called again; random choi"),
    "a large batch": ("batch_size=32", "batch_size=129", "a batch of 129 is more than the 128 training examples"),
    "labels": ("(x[:, 0] > 0)", "2 * (x[:, 0] > 0)", "tried on 4 examples: IndexError: Target 2 is out of bounds."),
    "rare labels": (
        "np.int64),))",
        "np.int64) + np.eye(1, n, n - 1, dtype=np.int64)[0] * 7,))",
        "Target 7 is out of bounds",
    ),
    "no module of torch": (
        "model=partial(Net, 2, width)",
        "model=lambda: 3",
        "its model should be a torch.nn.Module, n",
    ),
    "one model for all": (
        "model=partial(Net, 2, width)",
        "model=partial(lambda net: net, Net(2))",
        "its model() gives the same module twice; it should build a new one",
    ),
    "nothing to train": (
        "model=partial(Net, 2, width)",
        "model=lambda: Net(2).requires_grad_(False)",
        "its model has no weights to train",
    ),
    "a metric's direction": ("load=load,", "load=load, direction='min',", "direction is 'min'; it should be max, for"),
    "a metric of one's own": (
        "load=load,",
        "load=load, metric='hits', score=lambda y, t: {'hits': float((y.argmax(1) == t[0]).sum()), 'loss': 1.0}, "
        "direction='min',",
        "its hits is 64 where its loss is ",
    ),
    "no loss in the score": (
        "load=load,",
        "load=load, score=lambda y, t: {'accuracy': 0.5},",
        "its score gives accuracy; it should give the loss as 'loss', too",
    ),
    "a score of tensors": (
        "load=load,",
        "load=load, score=lambda y, t: {'accuracy': y.mean(), 'loss': 1.0},",
        "its score gives accuracy as Tensor; it should be a plain number",
    ),
    "no scalar": (
        "load=load,",
        "load=load, loss=lambda y, t: y.sum(1),",
        "its loss should be a scalar tensor, such as a mean over the batch; it has shape [4]",
    ),
    "a loss of Python": ("load=load,", "load=load, loss=lambda y, t: y.sum().item(),", "scalar tensor, such as a mean"),
    "NaN": ("load=load,", "load=load, loss=lambda y, t: y.sum() * float('nan'),", "its loss is nan at the initial wei"),
    "a loss of nothing": (
        "load=load,",
        "load=load, loss=lambda y, t: t[0].float().mean(),",
        "its loss does not depend on the weights of its model",
    ),
    "an impure loss": (
        "load=load,",
        "load=load, loss=lambda y, t: y.sum() * np.random.rand(),",
        "its loss is not pure: with the same seed of torch it gives two values",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_unsound_task_is_refused_by_the_rule_that_it_breaks(mine, case):
    old, new, words = CHANGES[case]
    assert old in TASK
    mine.write_text(TASK.replace(old, new))
    assert_refused("my_task.py:task", words)


def assert_refused(text, words):
    with pytest.raises(InputError) as error:
        dry_run.check(tasks.parse(text))
    line = str(error.value)
    assert words in line
    assert "\n" not in line
    assert "my_task.py" in line or "nets.py" in line or "netz" in line


NET_CHANGES = {
    "impure weights": (
        "    def forward",
        "        import random\n        self.layers[1].weight.data *= random.random()\n\n    def forward",
        "its model is not pure: initial weights may depend on torch's global generator alone",
    ),
    "an impure output": (
        "return self.layers(x)",
        "import random; return self.layers(x) * random.random()",
        "its model is not pure: in evaluation it gives two outputs for the same input",
    ),
    "another shape": (
        "nn.Linear(width, classes)",
        "nn.Linear(width, 5)",
        "its model gives [4, 5]; the output of this task's models is [4, 10]",
    ),
    "other inputs": ("nn.Linear(inputs, width)", "nn.Linear(7, width)", "mat1 and mat2 shapes cannot be multiplied"),
    "an import that nobody can follow": (
        "return self.layers(x)",
        "import importlib; importlib.import_module(self.more); return self.layers(x)",
        "it imports a module whose name is not written out, so that a change of its code would go unseen",
    ),
    "a list": ("return self.layers(x)", "return 3", "its model should give a tensor, or a tuple or dict of tensors"),
    "no module": ("class Net(nn.Module)", "class Net", "it should give a torch.nn.Module, not Net"),
    "a missing argument": ("classes, width=16", "classes, depth, width=16", "missing a required argument: 'depth'; it"),
}


@pytest.mark.parametrize("case", NET_CHANGES)
def test_an_unsound_model_is_refused_by_the_rule_that_it_breaks(mine, case):
    old, new, words = NET_CHANGES[case]
    assert old in NETS
    (mine.parent / "nets.py").write_text(NETS.replace("inputs=8", "inputs=64").replace(old, new))
    assert_refused("digits(model='nets.py:Net')", words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gone.py:task", "task gone.py:task: file gone.py is not there"),
        ("my_task.py:task(depth=3, height=2)", "unexpected keyword argument 'depth'"),
        ("digits(model='gone.py:Net')", "model gone.py:Net: file gone.py is not there"),
        ("digits(model='nets.py:Nett')", "model nets.py:Nett: nets.py has no Nett (did you mean Net?)"),
        ("digits(model='nets.py:Net(depth=3)')", "got an unexpected keyword argument 'depth'; it is called as nets.py"),
        ("digits(model='timm:resnet18000')", "unknown model 'timm:resnet18000' (did you mean timm:resnet"),
        ("digits(model='nets.py:nn')", "model nets.py:nn: it should be a function or a class, not module"),
        ("digits('cnn', model='nets.py:Net')", "task digits: model is given twice"),
        ("digits(model='mpl')", "(did you mean mlp?); there are: cnn, mlp; one of your own: my_model.py:Class"),
    ],
)
def test_a_wrong_name_or_setting_is_told_in_one_line(mine, text, words):
    with pytest.raises(InputError) as error:
        tasks.parse(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


STATEFUL = NETS.replace(
    "return self.layers(x)",
    "self.calls = getattr(self, 'calls', 0) + self.training; return self.layers(x) * (1 + self.calls)",
)
BY_VALUE = NETS.replace("return self.layers(x)", "y = self.layers(x); return y if y.sum().item() > 0 else 2 * y")


@pytest.mark.parametrize(
    ("net", "engine", "words"),
    [
        (NETS, "stacked", None),
        (NETS, "modules", None),
        (STATEFUL, "modules", "after its state is saved and loaded, the next update is another"),
        (BY_VALUE, "stacked", "cannot be stacked: use --engine modules (vmap: "),
        (BY_VALUE, "modules", None),
    ],
)
def test_each_engine_that_will_train_a_task_is_tried(mine, net, engine, words, capsys):
    (mine.parent / "nets.py").write_text(net)
    few = ("--schedules", "constant", "--epochs", "1", "--seeds", "1", "--engine", engine)
    assert main.main(["plan", "smoke", "--tasks", "my_task.py:task", *few]) == (2 if words else 0)
    if words:
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert words in line


STREAMED = (
    TASK.replace("import Data, Split", "import Data, Split, Stream")
    + """

class Reader:
    def __init__(self, how):
        self.how, (self.inputs,), (self.target,) = how, load().train.inputs, load().train.target

    def __call__(self, i, key):
        noise = np.float32(np.random.rand() if self.how == "impure" else 0)
        return (self.inputs[i] + noise,), (self.target[i],)


def streamed(how="good"):
    data, reader = load(), Reader(how)
    if how == "local":
        reader = lambda i, key: None
    return task(load=lambda: data._replace(train=Stream(reader, data.train.target, "any")))
"""
)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("local", "worker processes need its reader, and it cannot be pickled: "),
        ("impure", "two versions of example 0"),
    ],
)
def test_a_reader_that_workers_cannot_use_is_refused(mine, how, words):
    mine.write_text(STREAMED)
    assert_refused(f"my_task.py:streamed(how='{how}')", words)


# ----------------------------------------------------------------------------------------------- neighbours


def test_a_neighbour_with_the_name_of_another_module_is_refused(mine):
    (mine.parent / "numpy.py").write_text("")
    assert_refused("my_task.py:task", "imports numpy, which lies beside it, but is ")


def test_a_folder_of_neighbours_needs_an_init(mine):
    (mine.parent / "inner").mkdir()
    (mine.parent / "inner" / "more.py").write_text("x = 1\n")
    mine.write_text("from inner.more import x\n" + TASK)
    assert_refused("my_task.py:task", "an __init__.py, so that changes in it are seen")
    (mine.parent / "inner" / "__init__.py").write_text("")
    assert tasks.parse("my_task.py:task")


# --------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("text", "name", "layers"),
    [
        ("digits(model='nets.py:Net')", "digits(model='nets.py:Net')", "mlp"),
        ("digits(model=nets.py:Net(width=16))", "digits(model='nets.py:Net')", "mlp"),
        ("digits(nets.py:Net(width=8), epochs=3)", "digits(model='nets.py:Net(width=8)', epochs=3)", "mlp"),
        ("digits(model='my nets.py:Net'(width=8))", "digits(model=\"'my nets.py:Net'(width=8)\")", "mlp"),
        ("mnist5k(model='nets.py:Net', layers='large')", "mnist5k(model='nets.py:Net', layers='large')", "large"),
        ("digits(model='timm:resnet18')", "digits(model='timm:resnet18')", "residual"),
    ],
)
def test_a_built_in_task_takes_a_model_of_ones_own(mine, text, name, layers):
    (mine.parent / "my nets.py").write_text(NETS)
    it = tasks.parse(text)
    assert (bare(it.name), it.layers, it.outside) == (name, layers, True)
    assert tasks.parse(it.name).name == it.name
    assert it.code == tasks.parse(it.name.partition("(")[0]).code


def test_it_is_told_the_classes_and_refused_at_another_version(mine):
    (mine.parent / "nets.py").write_text(NETS.replace("inputs=8", "inputs=64"))
    it = tasks.parse("digits(model='nets.py:Net(width=8)')")
    assert it.model().layers[-1].out_features == 10
    dry_run.check(it)
    (mine.parent / "nets.py").write_text(NETS)
    with pytest.raises(InputError, match=r"nets\.py has changed"):
        tasks.parse(it.name)


def test_an_installed_model_may_import_as_it_likes(mine, tmp_path, monkeypatch):
    place = tmp_path / "site-packages"
    (place / "vast").mkdir(parents=True)
    dynamic = NETS.replace("return", "importlib.import_module(self.more) if 0 else 0; return")
    (place / "vast" / "__init__.py").write_text("import importlib\n" + dynamic)
    monkeypatch.syspath_prepend(place)
    it = tasks.parse("digits(model='vast:Net(inputs=64)')")
    assert it.model().layers[-1].out_features == 10
    assert bare(it.name) == "digits(model='vast:Net(inputs=64)')"


def test_the_kind_of_layers_is_seen():
    from torch import nn

    kinds = {
        "mlp": nn.Linear(2, 2),
        "conv1d": nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(2, 2)),
        "conv2d": nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(2, 2)),
        "residual": nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(10))),
        "recurrent": nn.Sequential(nn.Conv2d(1, 1, 1), nn.GRU(2, 2)),
        "large": nn.TransformerEncoderLayer(4, 2),
    }
    assert {name: own_model.layers_of(model) for name, model in kinds.items()} == {name: name for name in kinds}
