"""The same endpoint, GET /products/{id} with a session, as others would write it: python peers.py KIND DATABASE

Each prints its port as it starts. `bare` does no work at all: Starlette returns the same bytes, on uvicorn as it comes;
`gathered` is the same behind the shop's own protocol, which writes each response at once.
"""
import hashlib
import socket
import sys

HEADERS = {   # of the shop's answer, so that the bare one has the same bytes
    "ETag": '"1"',
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Request-Id": "0123456789abcdef0123456789abcdef",
}


def bare():
    """Starlette and nothing else."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route
    body = b'{"id":7,"name":"Egg cup","price_cents":390,"stock":100,"seller_id":1,"version":1}'

    async def read_product(request):
        return Response(body, headers=HEADERS, media_type="application/json")
    return Starlette(routes=[Route("/products/{id}", read_product)])


def tables(database):
    """SQLAlchemy's engine and the three tables that the endpoint reads."""
    import sqlalchemy as sa
    engine = sa.create_engine(f"sqlite:///{database}")
    metadata = sa.MetaData()
    return engine, *(sa.Table(name, metadata, autoload_with=engine) for name in ("session", "account", "product"))


def lookup(database):
    """A function that reads the session, its account and the product, and returns the product as a dict."""
    import sqlalchemy as sa
    engine, session, account, product = tables(database)

    def read(token, id):
        with engine.connect() as connection:
            token_hash = hashlib.sha256(token.encode()).hexdigest()
            visit = connection.execute(sa.select(session).where(session.c.token_hash == token_hash)).one()
            connection.execute(sa.select(account).where(account.c.id == visit.account_id)).one()
            return dict(connection.execute(sa.select(product).where(product.c.id == id)).one()._mapping)
    return read


def flask(database):
    """Flask and SQLAlchemy, as a WSGI application."""
    from flask import Flask, jsonify, request
    app, read = Flask(__name__), lookup(database)

    @app.get("/products/<int:id>")
    def read_product(id):
        return jsonify(read(request.cookies["session"], id))
    return app


def fastapi(database):
    """FastAPI and SQLAlchemy, whose endpoint runs in FastAPI's thread pool."""
    from fastapi import Cookie, FastAPI
    app, read = FastAPI(), lookup(database)

    @app.get("/products/{id}")
    def read_product(id: int, session: str = Cookie()):
        return read(session, id)
    return app


def main(kind, database):
    """Nothing is returned; serves until it is killed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    if kind == "flask":
        import waitress
        return waitress.serve(flask(database), sockets=[listener], threads=4, _quiet=True)
    import uvicorn
    if kind == "gathered":
        from shop.server import config
        return uvicorn.Server(config(bare())).run(sockets=[listener])
    app = bare() if kind == "bare" else fastapi(database)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
