"""All that makes an adapter another one is in its fingerprint, and nothing else."""

import shutil
from dataclasses import dataclass, fields, replace

import pytest
import torch

from pytest_muscle.models import LanguageModel
from pytest_muscle.progress import SILENT
from pytest_muscle.settings import CompatSettings, RecipeSettings
from pytest_muscle.training.adapters import AdapterShop, compat_adapter, task_adapter
from pytest_muscle.training.store import Adapter
from tests.training.recipes import COMPAT, QUICK, RECIPE


@dataclass(frozen=True)
class Fingerprints(AdapterShop):
    """A shop that trains nothing and says under which fingerprint it would."""

    def get(self, key, make) -> Adapter:
        return Adapter(self.store.path(key), "stored", key.fingerprint)


def another(recipe, name: str) -> object:
    """Return another value for a key of the recipe."""
    if name == "target_modules":
        return ("q_proj",)
    if name == "strategy":
        return "old_everywhere"
    value = getattr(recipe, name)
    if isinstance(value, bool):
        return not value
    return 7 if value is None else value / 2 if isinstance(value, float) and value else value + 1


class TestFingerprint:
    @pytest.fixture
    def shop(self, shop):
        return Fingerprints(shop.store, shop.digests, allowed=True, progress=SILENT)

    def test_the_same_configuration(self, shop, task, old, new):
        one = compat_adapter(shop, task, old, new, COMPAT)
        two = compat_adapter(shop, task, old, new, CompatSettings(**QUICK))

        assert one.fingerprint == two.fingerprint

    @pytest.mark.parametrize("name", [field.name for field in fields(RecipeSettings)])
    def test_every_key_of_a_task_adapter_s_recipe_counts(self, shop, task, new, name):
        changed = replace(RECIPE, **{name: another(RECIPE, name)})

        before = task_adapter(shop, task, new.base, RECIPE, side="new")
        after = task_adapter(shop, task, new.base, changed, side="new")

        assert after.fingerprint != before.fingerprint

    @pytest.mark.parametrize(
        "name", ["strategy", "temperature", "distillation_weight", "epochs", "seed", "max_length"]
    )
    def test_every_key_of_the_compat_recipe_counts(self, shop, task, old, new, name):
        changed = replace(COMPAT, **{name: another(COMPAT, name)})

        before = compat_adapter(shop, task, old, new, COMPAT)
        after = compat_adapter(shop, task, old, new, changed)

        assert after.fingerprint != before.fingerprint

    @pytest.mark.parametrize("settings", [{"seed": 4}, {"examples": 19}, {"delimiter": "\n"}])
    def test_the_data_count(self, shop, colour_task, old, new, settings):
        prints = []
        for options in ({}, settings):
            task = colour_task(**options)
            prints.append(compat_adapter(shop, task, old, new, COMPAT).fingerprint)
            prints.append(task_adapter(shop, task, new.base, RECIPE, side="new").fingerprint)

        assert len(set(prints)) == 4

    @pytest.mark.parametrize("changed", ["old", "new", "old-adapter", "new-adapter"])
    def test_models_and_adapters_count(self, shop, task, directories, base_of, tmp_path, changed):
        copy = shutil.copytree(directories, tmp_path / "copy")
        prints = []
        for directory in (directories, copy):
            if directory == copy:
                (weights,) = (copy / changed).glob("*.safetensors")
                content = bytearray(weights.read_bytes())
                content[-1] ^= 1
                weights.write_bytes(content)
            old, new = (
                LanguageModel(base_of(directory / name), directory / f"{name}-adapter")
                for name in ("old", "new")
            )
            prints.append(compat_adapter(shop, task, old, new, COMPAT).fingerprint)

        assert prints[0] != prints[1]

    def test_device_type_and_place_do_not_count(self, shop, task, directories, base_of, tmp_path):
        here = base_of(directories / "new")
        copy = shutil.copytree(directories / "new", tmp_path / "elsewhere")
        there = base_of(copy, device=torch.device("cuda"), dtype=torch.bfloat16)

        assert (
            task_adapter(shop, task, here, RECIPE, side="new").fingerprint
            == task_adapter(shop, task, there, RECIPE, side="new").fingerprint
        )
