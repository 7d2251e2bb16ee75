"""`omnisift rules`: what a session is watched for."""

import argparse
from typing import TYPE_CHECKING

from clients.cli.console import Console
from clients.cli.table import Table
from clients.sdk import Client, Rule
from clients.sdk.codec import encode

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser


def add_rules(add: "AddParser") -> None:
    """The options of the command."""
    parser = add(
        "rules",
        help="watch a session for conditions",
        description="A rule is asked about with every chunk; `omnisift watch` shows when it fires.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("add", help="watch for a condition")
    new.add_argument("session", metavar="SESSION")
    new.add_argument("condition", metavar="CONDITION", help="a question, or a statement")
    new.add_argument("--threshold", type=float, metavar="P", help="fires at this probability")
    new.add_argument("--cooldown", type=float, metavar="S", help="then silent for so long")
    new.add_argument("--min-interval", type=float, metavar="S", help="asked about no more often")
    new.add_argument("--webhook", metavar="URL", help="told too; the service must allow its host")
    all_ = actions.add_parser("list", help="what it is watched for")
    all_.add_argument("session", metavar="SESSION")
    gone = actions.add_parser("remove", help="watch for it no longer")
    gone.add_argument("session", metavar="SESSION")
    gone.add_argument("rule", metavar="RULE", help="its id")
    for each in (new, all_, gone):
        each.add_argument("--json", action="store_true")


def run_rules(options: argparse.Namespace, console: Console) -> None:
    with Client(options.url, api_key=options.api_key) as client:
        {"add": _add, "list": _list, "remove": _remove}[options.action](client, options, console)


def _add(client: Client, options: argparse.Namespace, console: Console) -> None:
    rule = client.create_rule(
        options.session,
        options.condition,
        threshold=options.threshold,
        cooldown_s=options.cooldown,
        min_interval_s=options.min_interval,
        webhook_url=options.webhook,
    )
    if options.json:
        console.json(encode(rule))
        return
    console.result(rule.id)
    if rule.webhook_secret is not None:
        console.note(f"webhooks are signed with {rule.webhook_secret}, which is shown only now")
    console.note(f"see it fire: omnisift watch {options.session}")


def _list(client: Client, options: argparse.Namespace, console: Console) -> None:
    rules = client.list_rules(options.session)
    if options.json:
        console.json(encode(rules))
    elif rules:
        console.table(_table(rules))
    else:
        console.note("no rules; add one by 'omnisift rules add SESSION CONDITION'")


def _remove(client: Client, options: argparse.Namespace, console: Console) -> None:
    client.delete_rule(options.session, options.rule)
    if options.json:
        console.json({"rule_id": options.rule, "status": "removed"})
    else:
        console.note(f"rule {options.rule} is removed")


def _table(rules: tuple[Rule, ...]) -> Table:
    rows = [
        (
            rule.id,
            rule.condition,
            f"{rule.threshold:g}",
            f"{rule.cooldown_s:g} s",
            f"{rule.min_interval_s:g} s",
            rule.webhook_url or "-",
        )
        for rule in rules
    ]
    columns = ("rule", "condition", ">threshold", ">cooldown", ">interval", "webhook")
    return Table(columns, rows)


__all__ = ["add_rules", "run_rules"]
