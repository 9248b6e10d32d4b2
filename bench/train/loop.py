"""Training of one cohort: look, decide, seat, move. The heart of Glideslope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from bench.contract import Cohort, Engine, Move, Schedule, Task
from bench.engine.loader import Loader
from bench.engine.memory import needs_last_gradient
from bench.ledger import checkpoint, paths, trace
from bench.ledger.cell_row import Result, Scores
from bench.ledger.rows import WeightsRow
from bench.plan.plan import updates
from bench.strategies import averagings, optimizers
from bench.train import outputs
from bench.train.decisions import Decisions
from bench.train.io import SAVE, STOP, StopError, TrainingIO, tidy
from bench.train.roster import Best, Member, Roster

SplitScores: TypeAlias = tuple[Scores, Scores]  # on control and on test
PATIENCE = 256  # looks whose losses are left on the device, at most


class Training:
    """One cohort in training; `run` trains it to the end.

    The whole state is (step, roster, members, schedule states, trace, engine), and one checkpoint holds all of it.
    """

    def __init__(
        self,
        cohort: Cohort,
        task: Task,
        schedules: Mapping[str, Schedule[Any]],
        engine: Engine,
        loader: Loader,
        io: TrainingIO,
    ):
        self.cohort, self.cells, self.task = cohort, cohort.cells, task
        self.engine, self.loader, self.io = engine, loader, io
        optimizer = optimizers.parse(self.cells[0].optimizer)
        self.decisions = Decisions(self.cells, schedules, loader.epoch_steps, optimizer.unsteered())
        engine.recall = needs_last_gradient(self.decisions.schedules)
        self.step, self.segments, self.retired = 0, 1, 0  # retired: cell-steps of cells that have left
        self.due = False  # an evaluation is due at this step
        self.roster, self.members = Roster.initial(len(self.cells)), [Member(0)]
        self.averagings, self.trace = averagings.Averagings(self.cells, loader.epoch_steps), trace.Trace()
        self.grid = updates(task.eval_epochs, 1, loader.epoch_steps)
        self.ends = {c.total for c in self.cells}
        self.checkpoint_path, self.writer = paths.checkpoint(io.directory, cohort.id), checkpoint.CheckpointWriter()
        self.chunks = paths.trace_chunks(io.directory, cohort.id)

    def run(self) -> bool:
        """Train until every cell has left; False if stopped before that, with a checkpoint written."""
        try:
            return self.train()
        finally:
            self.writer.wait()  # nothing is written once another process may take the cohort over

    def train(self) -> bool:
        self.resume()
        self.io.begin(self.step)
        self.loader.heartbeat = self.beat
        while self.roster.riders:
            if not self.due:
                self.update()
            if self.due and not self.evaluate_or_save():
                return False
            verdict = self.io.verdict(self.step)
            if self.roster.riders and (verdict == STOP or (verdict == SAVE and self.writer.ready)):
                self.save()
                if verdict == STOP:
                    return False
        self.finish()
        return True

    def update(self) -> None:
        self.engine.look(self.loader.batch(self.step), self.step)
        seats = zip(self.members, self.roster.riders, strict=True)
        self.roster, rows, moves = self.roster.seat(self.decisions.moves(self.step, seats, self.engine.signals))
        self.fork(rows, moves)
        self.engine.move(moves)
        self.step += 1
        for (slot, share), members in self.averagings.blends(self.roster.riders, self.step).items():
            self.engine.blend(slot, members, share)
        self.due = self.step % self.grid == 0 or self.step in self.ends
        if self.step % PATIENCE == 0:
            self.trace.fold(self.engine.history())

    def beat(self) -> None:
        """Stop an evaluation if asked to; called at every batch and chunk. An update is always finished.

        Raises:
            StopError: the evaluation should stop.
        """
        if self.io.heartbeat() and self.due:
            raise StopError

    def fork(self, rows: Sequence[int], moves: Sequence[Move]) -> None:
        """Fork members: the first child of a member continues its segment, each other child starts a new one."""
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

    def evaluate_or_save(self) -> bool:
        """Evaluate; False if stopped meanwhile, with a checkpoint from which the evaluation is repeated."""
        try:
            self.evaluate()
        except StopError:
            self.save()
        else:
            self.due = False
        return not self.due

    def evaluate(self) -> None:
        """Record members at the end of an epoch or of a budget; cells whose budget is spent leave."""
        self.trace.fold(self.engine.history())
        if self.decisions.failed:
            self.leave(self.record_failed())
        on_grid = self.step % self.grid == 0
        ending = self.ending_cells()
        due: Mapping[int, Sequence[int]] = dict(enumerate(self.roster.riders)) if on_grid else ending
        readings = self.read(due)
        last = [row for row in readings if row in ending]
        scores = self.engine.recalibrated("test", last) or ()  # none without BatchNorm
        recalibrated = dict(zip(last, scores, strict=False))
        files = self.keep_weights(ending, readings)
        means = self.trace.means()
        leaving: list[int] = []
        for row in due:
            if row not in readings:
                leaving += self.record_diverged(row, self.roster.riders[row])
        for row, tracks in readings.items():
            bests = {track: self.best(row, track, split_scores) for track, split_scores in tracks.items()}
            for track, split_scores in tracks.items():
                self.record_evaluation(row, track, means[row], split_scores)
            leaving += self.record_diverged(row, [i for i in due[row] if self.averagings.track(i) not in tracks])
            for i in ending.get(row, ()):
                if (track := self.averagings.track(i)) in tracks:
                    control, test = tracks[track]
                    # The statistics of an average are always recalibrated.
                    fresh = test if track and row in recalibrated else recalibrated.get(row)
                    result = outputs.done_result(bests[track], self.loader.epoch_steps, control, test, fresh)
                    self.record_cell(i, row, result, files.get(i))
                    leaving.append(i)
            # Off the grid, the end of one cell must not change the signals and best epochs of others.
            if on_grid:
                member, control = self.members[row], tracks[averagings.PRESENT][0]
                self.members[row] = member._replace(
                    control=control[self.task.metric], evaluations=member.evaluations + 1, bests=bests
                )
        if on_grid:
            self.trace.restart()
        self.leave(leaving)

    def ending_cells(self) -> dict[int, list[int]]:
        """Cells whose budget is spent at this step, by row; rows without any are left out."""
        by_row: dict[int, list[int]] = {}
        for row, riders in enumerate(self.roster.riders):
            if cells := [i for i in riders if self.cells[i].total == self.step]:
                by_row[row] = cells
        return by_row

    def read(self, due: Mapping[int, Sequence[int]]) -> dict[int, dict[str, SplitScores]]:
        """Scores of members, and of the averages by which their riders are read, by row and track.

        Scores that are not finite are left out.
        """
        splits = "control", "test"
        sound = [row for row in due if self.trace.bad_M[row] < 0]
        scores = [self.engine.evaluate(split, sound) for split in splits]
        readings: dict[int, dict[str, SplitScores]] = {}
        for row, control, test in zip(sound, *scores, strict=True):
            if outputs.finite(control, test):
                readings[row] = {averagings.PRESENT: (control, test)}
        riders = {row: due[row] for row in readings}
        for (track, recipe), rows in self.averagings.readings(riders, self.step).items():
            scores = self.engine.averaged(splits, rows, recipe)
            for row, control, test in zip(rows, *scores, strict=True):
                if outputs.finite(control, test):
                    readings[row][track] = (control, test)
        return readings

    def keep_weights(
        self, ending: Mapping[int, Sequence[int]], readings: Mapping[int, Mapping[str, SplitScores]]
    ) -> dict[int, WeightsRow]:
        """Write the weights of ending cells, as they are read; cells of one member and average share a file."""
        rows: dict[int, WeightsRow] = {}
        # All processes that share a batch take part, as BatchNorm statistics may have to be recomputed.
        for row, track, recipe, cells in self.averagings.finals(ending, self.step) if self.io.keep else ():
            if track in readings.get(row, {}) and (file := self.io.keep_file(self.engine.weights(row, recipe))):
                rows |= {i: WeightsRow(cell=self.cells[i].id, **file._asdict()) for i in cells}
        return rows

    def record_evaluation(self, row: int, track: str, means: outputs.Means, split_scores: SplitScores) -> None:
        epoch = self.step / self.loader.epoch_steps
        eval_row = outputs.evaluation(
            self.task, self.cohort, self.members[row], self.step, epoch, (means, *split_scores)
        )
        eval_row = replace(eval_row, average=track) if track else eval_row
        self.io.write(eval_row.key, eval_row)

    def best(self, row: int, track: str, split_scores: SplitScores) -> Best:
        control, test = (scores[self.task.metric] for scores in split_scores)
        return self.members[row].best(track, Best(self.step, control, test), self.task.direction)

    def record_diverged(self, row: int, riders: Sequence[int]) -> Sequence[int]:
        """Record riders of a member that diverged, and return them."""
        bad = int(self.trace.bad_M[row])
        for i in riders:
            self.record_cell(i, row, outputs.diverged_result(bad if bad >= 0 else self.step, self.members[row]))
        return riders

    def record_failed(self) -> Sequence[int]:
        """Record riders whose schedule failed, and return them."""
        failed, self.decisions.failed = self.decisions.failed, {}
        for row, riders in enumerate(self.roster.riders):
            for i in failed.keys() & set(riders):
                self.record_cell(i, row, outputs.failed_result(*failed[i], self.members[row]))
        return list(failed)

    def record_cell(self, i: int, row: int, result: Result, file: WeightsRow | None = None) -> None:
        """Record the result of a cell and, where they are kept, the file of its weights."""
        cell, member = self.cells[i], self.members[row]
        self.io.write(cell.id, outputs.cell_row(self.task, self.cohort, cell, member, self.loader.epoch_steps, result))
        if file is not None:
            self.io.write(cell.id, file)

    def leave(self, leaving: Sequence[int]) -> None:
        """Remove cells from the roster, and members that have no rider then."""
        self.retired += sum(self.cells[i].total for i in leaving)
        self.roster, rows = self.roster.leave(set(leaving))
        if len(rows) < len(self.members):
            self.engine.take(rows)
            self.trace.keep(rows)
            self.members = [self.members[row] for row in rows]
        riding = sum(map(len, self.roster.riders))
        self.io.progress(self.retired + riding * self.step, len(self.cells) - riding)

    # ----------------------------------------------------------------------------------- save and resume

    def save(self) -> None:
        """Write the rows, then the trace, then the checkpoint, which relies on both. Training goes on meanwhile."""
        self.trace.fold(self.engine.history())
        if self.io.ledger is None:
            return
        self.io.flush()
        self.trace.spill(self.chunks, self.step)
        self.writer.save(self.checkpoint_path, self.state)

    def state(self) -> dict[str, Any]:
        """The whole state, as copies."""
        return {
            **{name: getattr(self, name) for name in ("step", "segments", "retired", "due")},
            "riders": [list(riders) for riders in self.roster.riders],
            "members": [[*m[:-1], {track: list(b) for track, b in m.bests.items()}] for m in self.members],
            "decisions": self.decisions.state(),
            "trace": self.trace.state(),
            "engine": self.engine.state_dict(),
        }

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one."""
        state = checkpoint.load(self.checkpoint_path)
        if state is None:
            return
        self.step, self.segments, self.retired = state["step"], state["segments"], state["retired"]
        self.due = state.get("due", False)  # checkpoints of the first version were written after evaluations only
        self.roster = Roster(tuple(map(tuple, state["riders"])))
        self.members = [Member(*m)._replace(bests={k: Best(*b) for k, b in m[-1].items()}) for m in state["members"]]
        self.decisions.load(state["decisions"])
        self.trace.load(state["trace"])
        self.engine.load_state_dict(state["engine"])
        self.io.record_resume(self.cohort.id, self.step)

    def finish(self) -> None:
        """Write the trace, then the cohort's row, which says that it is done; then remove the checkpoint."""
        if self.io.ledger is None:
            return
        self.writer.wait()
        self.trace.finish(self.chunks, paths.trace(self.io.directory, self.cohort.id))
        row = outputs.cohort_row(self.cohort, self.trace.looks, self.trace.moves, self.segments)
        self.io.write(self.cohort.id, row)
        self.io.flush()
        tidy(self.io.directory, self.cohort.id)
