"""``tilegrad train NAME``: parse the options, hand them to the trainer."""

from __future__ import annotations

from collections.abc import Sequence

from tilegrad.course import load_recipe
from tilegrad.course.trainer.recipe import RecipeError, option_help
from tilegrad.course.trainer.train import train

from .parser import Parser, UsageError, complain


def build_parser() -> Parser:
    parser = Parser(
        "train",
        description="Train a recipe: model, loss, optimisation; then judge the result against its band.",
        epilog="A recipe's own options work as --KEY VALUE too; `tilegrad list NAME` shows them.",
    )
    parser.add_argument("name", nargs="?", help="a recipe (see `tilegrad list`), or the path of a recipe file of your own")
    parser.add_argument("--seed", type=int, help="seed of all random choices (default 0)")
    parser.add_argument("--device", help="cpu, cuda or auto (default: auto)")
    parser.add_argument("--epochs", type=int, help="passes over the data")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set an option of the recipe")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="where run folders are kept: DIR/<name>/<NNN> (default: runs)"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, bit for bit")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="a two-second version: does it work at all")
    size.add_argument("--full", action="store_true", help="the long version")
    parser.add_argument("--no-plots", dest="plots", action="store_false", help="no curves.png, no TensorBoard events")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = build_parser()
    try:
        if {"-h", "--help"} & set(arguments):
            return show_help(parser, arguments)
        args, unknown = parser.parse_known_args(arguments)
        if args.name is None and args.resume is None:
            raise UsageError("which recipe? try: tilegrad train mlp, or tilegrad list")
        changes = read_settings(args.set)
        changes.update(read_flags(parser, args.name, unknown))
        result = train(
            args.name,
            seed=args.seed,
            device=args.device,
            epochs=args.epochs,
            set=changes,
            out=args.out,
            resume=args.resume,
            smoke=args.smoke,
            full=args.full,
            plots=args.plots,
        )
    except (UsageError, RecipeError) as error:
        return complain(str(error))
    return result.exit_code


def read_settings(settings: Sequence[str]) -> dict[str, str]:
    """``["lr=0.1"]`` -> ``{"lr": "0.1"}``."""
    for setting in settings:
        if "=" not in setting:
            raise UsageError(f"--set {setting}: expected KEY=VALUE")
    return dict(setting.split("=", 1) for setting in settings)


def read_flags(parser: Parser, name: str | None, unknown: Sequence[str]) -> dict[str, str]:
    """A recipe's own options given as flags: ``--method sgd``, ``--method=sgd``, or ``--surface`` for a yes."""
    if not unknown:
        return {}
    kinds = {key: kind for key, kind, _, _ in option_help(load_recipe(name).Options)} if name else {}
    changes: dict[str, str] = {}
    rest = list(unknown)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        key = word[2:].replace("-", "_")
        if not word.startswith("--") or key not in kinds:
            parser.refuse([word], also=[f"--{key}" for key in kinds])
        if not equals:
            has_value = bool(rest) and not rest[0].startswith("--")
            if not has_value and kinds[key] != "bool":
                raise UsageError(f"--{key} needs a value ({kinds[key]})")
            value = rest.pop(0) if has_value else "true"
        changes[key] = value
    return changes


def show_help(parser: Parser, arguments: Sequence[str]) -> int:
    """The general options, and those of the recipe if one is named."""
    parser.print_help()
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name:
        from .listing import describe

        print("\n" + "\n".join(describe(name)))
    return 0
