"""`sv privacy keys`: the keys that fields of customers are sealed with."""

from typing import Annotated, Any

import typer

from sv_assets.cli.output import JsonOption, complain, console, print_json, table

app = typer.Typer(
    no_args_is_help=True, help="The keys that fields of customers are sealed with, and the master keys over them."
)


@app.command()
def status(json: JsonOption = False) -> None:
    """How many customers have a key, under which master key, and what is not sealed. Exit code 1 if a sensitive column is not."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.customers.sealed import unsealed, without_key
    from sv_assets.mongo import store_from_environment
    from sv_assets.sealing import keys, load_declaration, master

    store, declared = store_from_environment(), load_declaration()
    found, missing = keys.status(store), unsealed(load_catalogue(), declared)
    off = master.is_off()
    known = None if off else master.masters(store)
    told: dict[str, Any] = {
        "sealing": "off" if off else "on",
        "master_keys": known.ids if known else [],
        "kept": known.kept if known else "",
        "keys": found.keys,
        "by_master_key": found.by_master,
        "shredded": found.shredded,
        "customers_without": without_key(store),
        "sealed": {collection: sorted(declared.paths(collection)) for collection in declared.collections},
        "unsealed": missing,
    }
    if json:
        print_json(told)
    else:
        rows = [
            ["sealing", told["sealing"]],
            ["master keys, the current one first", ", ".join(told["master_keys"])],
            ["kept in", told["kept"]],
        ]
        rows += [[f"keys under {name}", f"{number:,}"] for name, number in found.by_master.items()]
        rows += [["shredded", f"{found.shredded:,}"], ["customers without a key", f"{told['customers_without']:,}"]]
        table("Keys of customers", ["what", "found"], rows)
        table("Sealed", ["collection", "fields"], [[name, ", ".join(paths)] for name, paths in told["sealed"].items()])
    if missing:
        complain(
            f"Neither sealed nor left in the clear for a reason: {'; '.join(missing)}. Add them to defs/privacy/encryption.yaml."
        )
        raise typer.Exit(1)


@app.command()
def init(json: JsonOption = False) -> None:
    """Make the first master key where there is none (in the KMS, or of the embedded estate). Repeated, it changes nothing."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.sealing.keys import ensure_prepared, keyring

    store = store_from_environment()
    ensure_prepared(store)
    known = keyring(store).masters
    if json:
        print_json({"current": known.current, "kept": known.kept})
    else:
        console.print(f"The master key {known.current} is there, kept in {known.kept}.")


@app.command()
def rotate(
    new: Annotated[bool, typer.Option("--new", help="With a KMS: make a new master key first.")] = False,
    json: JsonOption = False,
) -> None:
    """Put the keys of all customers under the current master key. Can be stopped, and goes on when it is called again.

    With SV_ENCRYPTION_KEY, put the new key before the old one first; once nothing lies under the old one it may go. The next
    run composes customers again, because look-up keys are hashed with a secret of the current master key.
    """
    from sv_assets.errors import ConfigurationError
    from sv_assets.mongo import store_from_environment
    from sv_assets.sealing import keys, master
    from sv_assets.settings import variable

    store = store_from_environment()
    if new:
        kms = variable(master.KMS_VARIABLE)
        if not kms:
            raise ConfigurationError(
                f"--new is for a KMS ({master.KMS_VARIABLE}); otherwise put a new key first in {master.VARIABLE}."
            )
        from sv_assets.sealing.kms import make_next

        make_next(store, kms)
        master.masters(store, anew=True)
    keys.ensure_prepared(store)
    ring = keys.keyring(store)
    rewrapped = sum(ring.rewrapped())
    left = {name: number for name, number in keys.status(store).by_master.items() if name != ring.masters.current}
    if json:
        print_json({"current": ring.masters.current, "rewrapped": rewrapped, "left": left})
    else:
        console.print(
            f"{rewrapped:,} keys were put under {ring.masters.current}; {sum(left.values()):,} lie under others."
        )
    if left:
        raise typer.Exit(1)
