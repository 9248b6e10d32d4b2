"""Plans: from a suite to cells, cohorts and shards. A suite file imports `Grid` and `Suite` from here."""

from bench.contract import Primary as Primary
from bench.plan.plan import Grid as Grid
from bench.plan.plan import Suite as Suite
