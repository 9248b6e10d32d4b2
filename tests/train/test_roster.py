"""The roster: every cell rides exactly one row until it leaves, rows never merge, the order is deterministic."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bench.contract import Move
from bench.train.roster import Roster


def test_riders_who_agree_stay_together():
    roster = Roster.initial(3)
    same, rows, moves = roster.seat(dict.fromkeys(range(3), Move(0.1)))
    assert same is roster
    assert (rows, moves) == ([0], [Move(0.1)])


def test_momentum_parts_riders_like_lr_does():
    roster, rows, _ = Roster.initial(2).seat({0: Move(0.1, 0.9), 1: Move(0.1, 0.8)})
    assert (roster.riders, rows) == (((0,), (1,)), [0, 0])


def test_adjacent_float64_values_part():
    roster, _, _ = Roster.initial(2).seat({0: Move(0.1), 1: Move(0.1 + 2**-56)})
    assert roster.riders == ((0,), (1,))


def test_a_row_without_riders_is_gone():
    roster, rows = Roster(((0, 2), (1,), (3,))).leave({1, 2})
    assert (roster.riders, rows) == (((0,), (3,)), [0, 2])


def test_nobody_rides_an_empty_roster():
    assert Roster.initial(0).riders == ()
    assert Roster(((0,),)).leave({0}) == (Roster(()), [])


class Rides(RuleBasedStateMachine):
    """A roster beside the plainest model of it: the full history of moves of every cell, and what each row carries."""

    @initialize(cells=st.integers(1, 9))
    def board(self, cells):
        self.roster = Roster.initial(cells)
        self.history = dict.fromkeys(range(cells), ())
        self.carried = [()]  # of each row: the history its weights have been through

    @rule(data=st.data())
    def seat(self, data):
        if not self.roster.riders:
            return
        moves = {i: Move(data.draw(st.sampled_from([0.1, 0.2, 0.3]))) for i in self.history}
        self.roster, rows, settled = self.roster.seat(moves)
        assert rows == sorted(rows)
        self.carried = [(*self.carried[row], move) for row, move in zip(rows, settled, strict=True)]
        self.history = {i: (*past, moves[i]) for i, past in self.history.items()}

    @rule(data=st.data())
    def leave(self, data):
        if not self.history:
            return
        gone = data.draw(st.sets(st.sampled_from(sorted(self.history))))
        self.roster, rows = self.roster.leave(gone)
        self.carried = [self.carried[row] for row in rows]
        for i in gone:
            del self.history[i]

    @invariant()
    def every_cell_rides_one_member_that_went_through_its_history(self):
        if not hasattr(self, "roster"):
            return
        aboard = [i for riders in self.roster.riders for i in riders]
        assert sorted(aboard) == sorted(self.history)
        for riders, carried in zip(self.roster.riders, self.carried, strict=True):
            assert riders
            for i in riders:
                assert self.history[i] == carried

    @invariant()
    def no_two_rows_carry_the_same_history(self):
        if hasattr(self, "roster"):
            assert len(set(self.carried)) == len(self.carried)


TestRides = Rides.TestCase
