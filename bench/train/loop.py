"""Look, decide, seat, move: the training of one cohort. The heart of Glideslope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from bench.contract import Cohort, Engine, Move, Schedule, Task
from bench.engine.loader import Loader
from bench.ledger import checkpoint, paths, trace
from bench.ledger.cell_row import Result, Scores
from bench.strategies import averagings, optimizers
from bench.train import outputs
from bench.train.decisions import Decisions
from bench.train.io import SAVE, STOP, StopError, TrainingIO, tidy
from bench.train.roster import Best, Member, Roster

Both: TypeAlias = tuple[Scores, Scores]  # on control and on test
PATIENCE = 256  # looks whose losses wait on the device at most


class Training:
    """One cohort in training; `run` does all of it.

    The whole state is (step, roster, members, schedule states, trace, engine), and all of it is in one snapshot.
    """

    def __init__(
        self,
        cohort: Cohort,
        task: Task,
        schedules: Mapping[str, Schedule[Any]],
        engine: Engine,
        feed: Loader,
        desk: TrainingIO,
    ):
        self.cohort, self.cells, self.task = cohort, cohort.cells, task
        self.engine, self.feed, self.desk = engine, feed, desk
        optimizer = optimizers.parse(self.cells[0].optimizer)
        self.decisions = Decisions(self.cells, schedules, feed.epoch_steps, optimizer.unsteered())
        engine.recall = any("grad_dot" in s.needs for s in self.decisions.schedules)
        self.step, self.segments, self.retired, self.due = 0, 1, 0, False  # due: an evaluation, at this step
        self.roster, self.members = Roster.together(len(self.cells)), [Member(0)]
        self.averagings, self.trace = averagings.Averagings(self.cells, feed.epoch_steps), trace.Trace()
        self.grid = task.eval_epochs * feed.epoch_steps
        self.ends = {c.total for c in self.cells}
        self.snapshot, self.writer = paths.checkpoint(desk.directory, cohort.id), checkpoint.CheckpointWriter()
        self.chunks = paths.trace_chunks(desk.directory, cohort.id)

    def run(self) -> bool:
        """Train until every cell has left; False if told to stop before, with a snapshot written."""
        try:
            return self.train()
        finally:
            self.writer.wait()  # nothing is written here once another process may take the cohort over

    def train(self) -> bool:
        self.resume()
        self.desk.begin(self.step)
        self.feed.heartbeat = self.beat
        while self.roster.riders:
            if not self.due:
                self.update()
            if self.due and not self.evaluated():
                return False
            verdict = self.desk.verdict(self.step)
            if self.roster.riders and (verdict == STOP or (verdict == SAVE and self.writer.ready)):
                self.save()
                if verdict == STOP:
                    return False
        self.finish()
        return True

    def update(self) -> None:
        self.engine.look(self.feed.batch(self.step), self.step)
        seats = zip(self.members, self.roster.riders, strict=True)
        self.roster, rows, moves = self.roster.seat(self.decisions.moves(self.step, seats, self.engine.signals))
        self.take(rows, moves)
        self.engine.move(moves)
        self.step += 1
        for (slot, share), members in self.averagings.blends(self.roster.riders, self.step).items():
            self.engine.blend(slot, members, share)
        self.due = self.step % self.grid == 0 or self.step in self.ends
        if self.step % PATIENCE == 0:
            self.trace.fold(self.engine.history())

    def beat(self) -> None:  # at every batch and chunk: an evaluation stops here, an update is finished
        if self.desk.heartbeat() and self.due:
            raise StopError

    def take(self, rows: Sequence[int], moves: Sequence[Move]) -> None:
        """Fork as seated: the first child of a member goes on under its segment, each other child opens a new one."""
        if len(rows) != len(self.members):
            self.engine.take(rows)
            parents, self.members = self.members, []
            for at, row in enumerate(rows):
                child = parents[row]
                if at and rows[at - 1] == row:
                    child = child._replace(segment=self.segments, parent=child.segment, start=self.step)
                    self.segments += 1
                self.members.append(child)
        lrs = [move.lr for move in moves]
        self.trace.seat(self.step, rows, [m.segment for m in self.members], lrs)
        self.members = [m if m.lr == lr else m._replace(lr=lr) for m, lr in zip(self.members, lrs, strict=True)]

    # ------------------------------------------------------------------------------------------ evaluate

    def evaluated(self) -> bool:
        """Evaluate; False if told to stop meanwhile, with a snapshot that has the evaluation before it."""
        try:
            self.evaluate()
        except StopError:
            self.save()
        else:
            self.due = False
        return not self.due

    def evaluate(self) -> None:
        """At the end of an epoch or of a budget: record members, and let those go whose budget is spent."""
        self.trace.fold(self.engine.history())
        if self.decisions.failed:
            self.leave(self.give_up())
        on_grid = self.step % self.grid == 0
        ending = {
            row: done
            for row, riders in enumerate(self.roster.riders)
            if (done := [i for i in riders if self.cells[i].total == self.step])
        }
        due: Mapping[int, Sequence[int]] = dict(enumerate(self.roster.riders)) if on_grid else ending
        seen = self.read(due)
        last = [row for row in seen if row in ending]
        anew = dict(zip(last, self.engine.recalibrated("test", last) or (), strict=False))  # empty without BatchNorm
        means = self.trace.means()
        gone = [i for row in due if row not in seen for i in self.lose(row, self.roster.riders[row])]
        for row, tracks in seen.items():
            bests = {track: self.best(row, track, both) for track, both in tracks.items()}
            for track, both in tracks.items():
                self.note(row, track, means[row], both)
            gone += self.lose(row, [i for i in due[row] if self.averagings.track(i) not in tracks])
            for i in ending.get(row, ()):
                if (track := self.averagings.track(i)) in tracks:
                    control, test = tracks[track]
                    fresh = test if track and row in anew else anew.get(row)  # an average always has new statistics
                    self.conclude(i, row, outputs.done(bests[track], self.feed.epoch_steps, control, test, fresh))
                    gone.append(i)
            if on_grid:  # off the grid a neighbour's end may not change what others see or count as best
                evaluations, now = self.members[row].evaluations + 1, tracks[averagings.PRESENT][0][self.task.metric]
                self.members[row] = self.members[row]._replace(control=now, evaluations=evaluations, bests=bests)
        if on_grid:
            self.trace.restart()
        self.leave(gone)

    def read(self, due: Mapping[int, Sequence[int]]) -> dict[int, dict[str, Both]]:
        """(control, test) of members and of the averages that riders read them by; none of what is not finite."""
        splits = "control", "test"
        sound = [row for row in due if self.trace.bad_M[row] < 0]
        scores = [self.engine.evaluate(split, sound) for split in splits]
        seen = {
            row: {averagings.PRESENT: (c, t)} for row, c, t in zip(sound, *scores, strict=True) if outputs.finite(c, t)
        }
        riders = {row: due[row] for row in seen}
        for (track, recipe), rows in self.averagings.readings(riders, self.step).items():
            scores = self.engine.averaged(splits, rows, recipe)
            for row, c, t in zip(rows, *scores, strict=True):
                seen[row] |= {track: (c, t)} if outputs.finite(c, t) else {}
        return seen

    def note(self, row: int, track: str, means: outputs.Means, both: Both) -> None:
        epoch = self.step / self.feed.epoch_steps
        it = outputs.evaluation(self.task, self.cohort, self.members[row], self.step, epoch, (means, *both))
        it = replace(it, average=track) if track else it
        self.desk.write(it.key, it)

    def best(self, row: int, track: str, both: Both) -> Best:
        control, test = (scores[self.task.metric] for scores in both)
        return self.members[row].best(track, Best(self.step, control, test), self.task.direction)

    def lose(self, row: int, riders: Sequence[int]) -> Sequence[int]:
        """Record riders of a member that diverged."""
        bad = int(self.trace.bad_M[row])
        for i in riders:
            self.conclude(i, row, outputs.diverged(bad if bad >= 0 else self.step, self.members[row]))
        return riders

    def give_up(self) -> Sequence[int]:
        """Record riders whose schedule failed."""
        failed, self.decisions.failed = self.decisions.failed, {}
        for row, riders in enumerate(self.roster.riders):
            for i in failed.keys() & set(riders):
                self.conclude(i, row, outputs.failed(*failed[i], self.members[row]))
        return list(failed)

    def conclude(self, i: int, row: int, result: Result) -> None:
        """Record what became of a cell."""
        cell, member = self.cells[i], self.members[row]
        self.desk.write(cell.id, outputs.cell_row(self.task, self.cohort, cell, member, self.feed.epoch_steps, result))

    def leave(self, gone: Sequence[int]) -> None:
        """Cells leave; members without riders are dropped."""
        self.retired += sum(self.cells[i].total for i in gone)
        self.roster, rows = self.roster.leave(set(gone))
        if len(rows) < len(self.members):
            self.engine.take(rows)
            self.trace.keep(rows)
            self.members = [self.members[row] for row in rows]
        riding = sum(map(len, self.roster.riders))
        self.desk.progress(self.retired + riding * self.step, len(self.cells) - riding)

    # ----------------------------------------------------------------------------------- save and resume

    def save(self) -> None:
        """Rows to the disk, then the trace, then the snapshot that counts on both, written while training goes on."""
        self.trace.fold(self.engine.history())
        if self.desk.ledger is None:
            return
        self.desk.flush()
        self.trace.spill(self.chunks, self.step)
        self.writer.save(self.snapshot, self.state)

    def state(self) -> dict[str, Any]:
        """All of it, as copies."""
        return {
            **{name: getattr(self, name) for name in ("step", "segments", "retired", "due")},
            "riders": [list(riders) for riders in self.roster.riders],
            "members": [[*m[:-1], {track: list(b) for track, b in m.bests.items()}] for m in self.members],
            "decisions": self.decisions.state(),
            "trace": self.trace.state(),
            "engine": self.engine.state_dict(),
        }

    def resume(self) -> None:
        """Continue from the snapshot, if there is one."""
        state = checkpoint.load(self.snapshot)
        if state is None:
            return
        self.step, self.segments, self.retired = state["step"], state["segments"], state["retired"]
        self.due = state.get("due", False)  # snapshots of the first version stand behind their evaluations
        self.roster = Roster(tuple(map(tuple, state["riders"])))
        self.members = [Member(*m)._replace(bests={k: Best(*b) for k, b in m[-1].items()}) for m in state["members"]]
        self.decisions.load(state["decisions"])
        self.trace.load(state["trace"])
        self.engine.load_state_dict(state["engine"])
        self.desk.resumed(self.cohort.id, self.step)

    def finish(self) -> None:
        """The trace, then the cohort's row, which says that all is done; then the snapshot may go."""
        if self.desk.ledger is None:
            return
        self.writer.wait()
        self.trace.finish(self.chunks, paths.trace(self.desk.directory, self.cohort.id))
        row = outputs.cohort_row(self.cohort, self.trace.looks, self.trace.moves, self.segments)
        self.desk.write(self.cohort.id, row)
        self.desk.flush()
        tidy(self.desk.directory, self.cohort.id)
