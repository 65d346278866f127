"""What a flag asks for instead of tests: `--muscle-show`, `--muscle-plan`, and so on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_muscle.errors import ConfigurationError, MuscleError
from pytest_muscle.fixtures import COMPAT_FIXTURES
from pytest_muscle.session import MuscleSession, flags_of, session_of
from pytest_muscle.workers import task_of, worker_name

if TYPE_CHECKING:
    from pytest_muscle.overview.look import Overview
    from pytest_muscle.plans import TaskPlan
    from pytest_muscle.task_models import Side


class Mode(ABC):
    """One thing that is done instead of tests, once: in the controller of pytest-xdist.

    Args:
        session: The session's state.
        config: pytest's configuration.
        items: The tests that were collected and are not run.
    """

    def __init__(
        self, session: MuscleSession, config: pytest.Config, items: Sequence[pytest.Item]
    ) -> None:
        self._session = session
        self._config = config
        self._items = items

    @abstractmethod
    def run(self) -> None:
        """Do it.

        Raises:
            MuscleError: If it cannot be done.
        """

    @abstractmethod
    def show(self, terminal: pytest.TerminalReporter) -> None:
        """Print what came of it; nothing where nothing did."""

    @property
    def failed(self) -> bool:
        """Whether what came of it makes the run fail."""
        return False


class Showing(Mode):
    """Shows what a run would start from and what it would do; it writes nothing."""

    def __init__(
        self, session: MuscleSession, config: pytest.Config, items: Sequence[pytest.Item]
    ) -> None:
        super().__init__(session, config, items)
        self._overview: Overview | None = None

    def run(self) -> None:
        """Look it up."""
        from pytest_muscle.overview.look import look

        self._session.task_names(None)
        assert self._session.settings is not None
        wanted = frozenset(
            task
            for item in self._items
            if (task := task_of(item)) is not None
            and not COMPAT_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        )
        self._overview = look(self._session.settings, flags_of(self._config), wanted)

    def show(self, terminal: pytest.TerminalReporter) -> None:
        """Print it; with -q what is stored and the sum, with -v all keys and whole prompts."""
        if self._overview is None:
            return
        from pytest_muscle.reports.costs import render_estimate, render_stock
        from pytest_muscle.reports.overview import (
            render_configuration,
            render_errors,
            render_models,
            render_task,
        )

        overview, verbosity = self._overview, self._config.get_verbosity()
        brief = verbosity < 0
        sections = {
            "configuration": render_configuration(overview, verbosity),
            "models": render_models(overview),
            "tasks": [line for view in overview.tasks for line in render_task(view, verbosity)],
            "stored, and to be made": render_stock(overview, brief=brief),
            "estimate": render_estimate(overview, verbosity),
        }
        for title in list(sections)[3 if brief else 0 :]:
            terminal.section(title)
            terminal.write_line("\n".join(sections[title]))
        if overview.errors:
            terminal.section("errors")
            terminal.write_line("\n".join(render_errors(overview)), red=True)

    @property
    def failed(self) -> bool:
        """Whether a run would fail of what is wrong."""
        return self._overview is not None and bool(self._overview.errors)


class Planning(Mode):
    """Plans each task's gate; with `--muscle-strict` one that can never pass fails the run."""

    def __init__(
        self, session: MuscleSession, config: pytest.Config, items: Sequence[pytest.Item]
    ) -> None:
        super().__init__(session, config, items)
        self.plans: Sequence[TaskPlan] = ()

    def run(self) -> None:
        """Plan the gates."""
        self._session.task_names(None)
        self.plans = self._session.update.plan()

    def show(self, terminal: pytest.TerminalReporter) -> None:
        """Print what gates can tell; with -q the table and what can never pass."""
        if not self.plans:
            return
        from pytest_muscle.reports.plan import describe_never, describe_plans, render_plan

        brief = self._config.get_verbosity() < 0
        terminal.section("plan")
        terminal.write_line(render_plan(self.plans, brief=brief))
        for plan in self.plans:
            for line in describe_never(plan):
                terminal.write_line(f"warning: {line}", yellow=True)
        for line in () if brief else describe_plans(self.plans):
            terminal.write_line(line)

    @property
    def failed(self) -> bool:
        """Whether a gate can never pass, and that is not to be."""
        strict: bool = self._config.getoption("muscle_strict")
        return strict and any(plan.never_passes for plan in self.plans)


class Recording(Mode):
    """Records a side's answers as the baseline of each task."""

    def __init__(
        self, session: MuscleSession, config: pytest.Config, items: Sequence[pytest.Item]
    ) -> None:
        super().__init__(session, config, items)
        self.side: Side = config.getoption("muscle_update_baseline")
        self._said: list[str] = []

    def run(self) -> None:
        """Record the baselines."""
        from pytest_muscle.recording import record_baseline

        shown = None if self._config.get_verbosity() >= 2 else 10
        names, update = self._session.task_names(None), self._session.update
        if update.settings.limit is not None:
            raise ConfigurationError(
                "a baseline holds all examples of a task",
                where="--muscle-limit",
                hint="leave it out where a baseline is recorded",
            )
        for name in names:
            self._said += record_baseline(update, self.side, name, flips_shown=shown)

    def show(self, terminal: pytest.TerminalReporter) -> None:
        """Print what was recorded and what changed."""
        if self._said:
            terminal.section("baselines")
            terminal.write_line("\n".join(self._said))


MODES: dict[str, type[Mode]] = {
    "muscle_show": Showing,
    "muscle_plan": Planning,
    "muscle_update_baseline": Recording,
}
"""By the option that asks for them, in the order in which they are run and shown."""

KEY = pytest.StashKey[list[Mode]]()


def modes_of(config: pytest.Config) -> Sequence[Mode]:
    """Return the modes that were run in this process."""
    return config.stash.get(KEY, [])


def run_modes(session: pytest.Session) -> bool:
    """Run what is asked for instead of tests, and return whether anything is.

    Raises:
        pytest.UsageError: If configuration, data or model are not usable.
    """
    config = session.config
    asked = [kind for option, kind in MODES.items() if config.getoption(option)]
    if worker_name(config) is None:
        state, items = session_of(config), getattr(session, "items", ())
        modes = config.stash[KEY] = [kind(state, config, items) for kind in asked]
        for mode in modes:
            try:
                mode.run()
            except MuscleError as error:
                raise pytest.UsageError(str(error)) from error
    return bool(asked)
