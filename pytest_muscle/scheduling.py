"""The scheduler of pytest-xdist that sends the tests of a group to one worker."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

from pytest_muscle import workers


class LoadTaskScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Sends tests of a group, which workers told, to one worker, and all others one by one."""

    def remove_node(self, node: Any) -> str | None:
        """Give what a crashed worker has left to others, but for the test in which it crashed.

        So does `--dist load`. The class above would try that test again, and nothing else of its
        group, until workers are no longer replaced.
        """
        workload: dict[str, dict[str, bool]] = self.assigned_work.pop(node)
        crashed: str | None = None
        for group, tests in workload.items():
            left = [nodeid for nodeid, completed in tests.items() if not completed]
            if left and crashed is None:
                crashed = left.pop(0)
                tests[crashed] = True
            if left:
                self.workqueue[group] = tests
        if crashed is None:
            return None
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: Any) -> None:
        """Give a worker more tests if it has few: it runs one only when it knows the next.

        The class above gives one group, which leaves a worker that replaces another waiting for
        ever where that is a single test; and it fails where that worker has not collected yet.
        """
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        while (
            self.workqueue
            and not node.shutting_down
            and self._pending_of(self.assigned_work[node]) < 2
        ):
            waiting = len(self.workqueue)
            self._assign_work_unit(node)
            if len(self.workqueue) == waiting:
                return

    def _assign_work_unit(self, node: Any) -> None:
        """Send a worker the next group; leave it for others if the worker is not there any more.

        Until its end is known here a crashed worker gets tests like any other, but its pipe is
        closed: the class above lets that error end the whole run.
        """
        group, tests = next(iter(self.workqueue.items()))
        try:
            super()._assign_work_unit(node)
        except OSError:
            del self.assigned_work[node][group]
            self.workqueue[group] = tests
            self.workqueue.move_to_end(group, last=False)

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test; a test without one is its own."""
        group, _ = workers.told(self.config).get(nodeid, (nodeid, None))
        return group
