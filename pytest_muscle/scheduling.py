"""The scheduler of pytest-xdist that sends the tests of a group to one worker."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from pytest_muscle import workers


class LoadTaskScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Sends tests of a group, which workers told, to one worker, and all others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test; a test without one is its own."""
        group, _ = workers.told(self.config).get(nodeid, (nodeid, None))
        return group
