"""A trace in OpenTelemetry's data model, as OTLP/JSON: post it to http://jaeger:4318/v1/traces."""
import re

KINDS = {"server": 2, "client": 3}   # SPAN_KIND_SERVER, SPAN_KIND_CLIENT; every other stage is SPAN_KIND_INTERNAL
LITERAL = re.compile(r"'(?:[^']|'')*'")


def export(trace) -> dict:
    """The trace as OTLP/JSON. Ids are hexadecimal, which is OTLP's own rule and not that of protobuf's JSON."""
    spans = [span(trace, stage) for stage in trace.stages]
    return {"resourceSpans": [{
        "resource": {"attributes": attributes({"service.name": "shop"})},
        "scopeSpans": [{"scope": {"name": "webscale"}, "spans": spans}],
    }]}


def span(trace, stage) -> dict:
    """The stage as a span."""
    parent = {"parentSpanId": stage.parent} if stage.parent else {}
    failed = {"status": {"code": 2, "message": stage.error}} if stage.error else {}
    return {
        "traceId": trace.id, "spanId": stage.id, **parent,
        "name": f"{trace.method} {trace.route or ''}".strip() if stage.kind == "server" else stage.name,
        "kind": KINDS.get(stage.kind, 1),
        "startTimeUnixNano": nanoseconds(trace, stage.start_ms), "endTimeUnixNano": nanoseconds(trace, stage.end_ms),
        "attributes": attributes(facts(trace, stage)), **failed,
    }


def nanoseconds(trace, ms: float) -> str:
    """The time since 1970; 64-bit numbers are text in JSON."""
    return str(trace.began_unix_ns + round(ms * 1e6))


def facts(trace, stage) -> dict:
    """What is told of a stage, by OpenTelemetry's names: no values, so no literals in the SQL either."""
    if stage.kind in KINDS:
        return {"http.request.method": trace.method, "url.path": trace.path.partition("?")[0],
                "http.route": trace.route, "http.response.status_code": trace.status}
    sql = LITERAL.sub("?", stage.sql) if stage.sql and stage.kind == "database" else None
    return {"webscale.kind": stage.kind, "code.file.path": stage.file or None, "db.query.text": sql,
            "db.response.returned_rows": stage.rows if sql else None, "error.type": stage.error}


def attributes(facts: dict) -> list[dict]:
    """The facts as OTLP's list of keys and typed values; what is None is left out."""
    return [{"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
            for key, value in facts.items() if value is not None]
