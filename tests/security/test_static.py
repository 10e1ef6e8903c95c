"""What ruff's security rules (S, in pyproject.toml) do not look for: the loaders that this program never calls."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import patent_hier

ROOT = Path(patent_hier.__file__).parents[1]
FILES = sorted([*(ROOT / "patent_hier").rglob("*.py"), ROOT / "run.py"])
# Names that may not be called, and keyword arguments that must or may not stand where they can.
FORBIDDEN_CALLS = (
    "eval", "exec", "compile", "__import__",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load",
    "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "pd.read_pickle", "pandas.read_pickle",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "OmegaConf.register_new_resolver", "os.system", "os.popen",
    "KeyedVectors.load", "Word2Vec.load", "shutil.unpack_archive", "tarfile.open",
)  # fmt: skip
MAKES_OBJECTS = "patent_hier/cli/observers.py"  # what it makes is bounded there; see test_command_line.py
HYDRA_CALLS = ("instantiate", "call", "get_method", "get_class", "get_object")
REQUIRED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "AutoModel.from_pretrained": ("use_safetensors", True),
    "AutoModelForMaskedLM.from_pretrained": ("use_safetensors", True),
    "AutoTokenizer.from_pretrained": ("trust_remote_code", False),
    "trainer.fit": ("weights_only", True),
}
FORBIDDEN_VALUES = {("trust_remote_code", True), ("allow_pickle", True), ("weights_only", False), ("shell", True)}
# Lightning loads a checkpoint only where it is given one.
WITHOUT_CHECKPOINT = {"trainer.fit": "ckpt_path"}


def problems(source: str) -> Iterator[str]:
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        given = {
            word.arg: ast.literal_eval(word.value) for word in call.keywords if isinstance(word.value, ast.Constant)
        }
        if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in HYDRA_CALLS:
            yield f"line {call.lineno}: {name}"
        for argument, value in FORBIDDEN_VALUES & set(given.items()):
            yield f"line {call.lineno}: {argument}={value}"
        if name in REQUIRED and (WITHOUT_CHECKPOINT.get(name) in (None, *(word.arg for word in call.keywords))):
            argument, value = REQUIRED[name]
            if given.get(argument) is not value:
                yield f"line {call.lineno}: {name} without {argument}={value}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_unsafe_loader_is_called(path: Path) -> None:
    found = list(problems(path.read_text("utf-8")))
    if path == ROOT / MAKES_OBJECTS:
        assert [problem.partition(": ")[2] for problem in found] == ["instantiate"]
    else:
        assert found == []


UNSAFE = ("pickle.loads(x)", "hydra.utils.instantiate(x)", "instantiate(x)", "yaml.load(x, Loader=yaml.Loader)")
UNSAFE += ("torch.load(x)", "torch.load(x, weights_only=False)", "np.load(x)", "np.load(x, allow_pickle=True)")
UNSAFE += ("eval(x)", "subprocess.run(x, shell=True)", "trainer.fit(x, ckpt_path=y)", "AutoModel.from_pretrained(x)")
UNSAFE += ("AutoModel.from_pretrained(x, use_safetensors=True, trust_remote_code=True)",)


@pytest.mark.parametrize("source", UNSAFE)
def test_it_sees_them(source: str) -> None:
    assert list(problems(source))


def test_the_security_rules_are_on_for_the_package() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == ["S101"]
    assert set(lint["per-file-ignores"]) == {"docs/**", "tests/**"}
