"""`glideslope report` and `glideslope import`: tables, figures and page from a ledger or from published logs."""

from __future__ import annotations

import argparse

from bench.cli.options import Commands, new_console, path


def add(commands: Commands) -> None:
    """Add `report` and `import` to the command line."""
    parser = commands.add_parser("report", help="rebuild tables, figures and page from a ledger alone")
    parser.add_argument("directory", type=path, metavar="DIR")
    parser.set_defaults(do=report)
    parser = commands.add_parser("import", help="turn published logs into a ledger, for the same tables")
    parser.add_argument("file", type=path, metavar="FILE")
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="where the ledger goes")
    parser.add_argument("--format", choices=("llama-csv",), default="llama-csv", help="the kind of file")
    parser.set_defaults(do=import_logs)


def report(args: argparse.Namespace) -> int:
    """Write the report, and print its main table."""
    from bench.analysis.results import KINDS
    from bench.ledger import ledger
    from bench.report import write

    console, notes = new_console(), list[str]()
    rows = ledger.read(args.directory, notes, KINDS)
    result = write.find(rows)
    page = write.write(args.directory, result)
    write.show(result, console)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"Report: {page}", highlight=False, markup=False, soft_wrap=True)
    return 0


def import_logs(args: argparse.Namespace) -> int:
    """Write a ledger of published cells."""
    from bench.analysis.published import llama_csv
    from bench.ledger.cell_row import CellRow

    rows = llama_csv.import_log(args.file, args.out)
    cells = sum(row.kind == CellRow.kind for row in rows)
    print(f"{cells:,} published cells in {args.out}; their tables: glideslope report {args.out}")
    return 0
