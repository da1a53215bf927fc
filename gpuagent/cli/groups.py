"""Groups of commands."""

from typing import Any

import typer
from typer.core import TyperGroup


class CommandGroup(TyperGroup):
    """Commands whose descriptions the group's help shows whole, where the library cuts them to a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first_paragraph(command.help or "")) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def command_group(description: str, *, acts_alone: bool = False) -> typer.Typer:
    """A group without commands. acts_alone: it does something where no command is named; else it shows its help.

    Its help is plain text: what draws it in boxes takes half of the time that help takes.
    """
    return typer.Typer(
        cls=CommandGroup,
        help=description,
        no_args_is_help=not acts_alone,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
