"""python -m shop: the shop alone, without notebooks. python -m shop seed --size large: something to sell."""
import argparse
import asyncio
import sys
import time

import uvicorn

from shop import seed, server
from shop.app import create_app
from shop.database import open_database
from shop.settings import Settings


def main() -> None:
    """Nothing is returned; the shop runs until it is stopped with Ctrl-C."""
    options = parse_arguments()
    try:
        settings = Settings.from_environment()
        asyncio.run(fill(settings, options.size)) if options.command == "seed" else run(settings, options.port)
    except (ValueError, OSError) as error:
        sys.exit(f"shop: {error}")


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m shop", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one (default: 8000)")
    commands = parser.add_subparsers(dest="command")
    seeding = commands.add_parser("seed", help="fill a new database")
    seeding.add_argument("--size", choices=[name for name in seed.SIZES if name != "none"], default="small")
    return parser.parse_args()


def run(settings: Settings, port: int) -> None:
    """Nothing is returned; requests are served until Ctrl-C."""
    try:
        listener = server.listener(port)
    except OSError as error:
        raise OSError(f"Port {port} cannot be had ({error.strerror}); choose another with --port.") from None
    print(f"The shop is open at http://127.0.0.1:{listener.getsockname()[1]}/products (Ctrl-C closes it)", flush=True)
    uvicorn.Server(server.config(create_app(settings))).run(sockets=[listener])


async def fill(settings: Settings, size: str) -> None:
    """Nothing is returned; says what was done."""
    start = time.perf_counter()
    db = await open_database(settings.database, settings.database_connections)
    try:
        done = await seed.fill(db, size)
    finally:
        await db.close()
    print(f"Filled with the {size} seed in {time.perf_counter() - start:.1f} s." if done else
          "Left as it is: this database was filled before.")


if __name__ == "__main__":
    main()
