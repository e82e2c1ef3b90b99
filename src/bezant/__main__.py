"""The `bezant` command. An OperatorError is one line on stderr and exit status 1, never a traceback."""

import sys

from rich.console import Console
from rich.text import Text

from bezant.base.errors import OperatorError
from bezant.commands import command_line


def main() -> None:
    """Run the command line."""
    try:
        command_line(sys.argv[1:])(prog_name="bezant")
    except OperatorError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(Text.assemble(("error: ", "bold red"), str(error)))
        sys.exit(1)


if __name__ == "__main__":
    main()
