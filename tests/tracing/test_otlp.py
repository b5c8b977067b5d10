"""A trace as OTLP/JSON, read by OpenTelemetry's own protobuf."""
import base64
import copy
import time

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def parsed(otlp):
    """The message and its spans. OTLP writes ids in hexadecimal; protobuf's JSON takes them for base64, and complains not."""
    otlp = copy.deepcopy(otlp)
    for span in otlp["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in IDS.keys() & span.keys():
            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    message = ParseDict(otlp, ExportTraceServiceRequest())
    return message.resource_spans[0].scope_spans[0].spans


@pytest.fixture
def order(buy):
    return buy()


def test_ids_are_lower_case_hexadecimal_of_the_right_length(order):
    for span in order.otlp()["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in IDS.keys() & span.keys():
            assert len(span[name]) == 2 * IDS[name]
            assert span[name] == span[name].lower() and bytes.fromhex(span[name])


def test_opentelemetry_reads_every_stage(order):
    spans = parsed(order.otlp())

    assert len(spans) == len(order.stages)
    assert {len(span.trace_id) for span in spans} == {16}
    assert {len(span.span_id) for span in spans} == {8}
    assert {bytes(span.trace_id).hex() for span in spans} == {order.id}
    assert len({span.span_id for span in spans}) == len(spans)


def test_parents_are_as_in_the_trace(order):
    spans = parsed(order.otlp())
    names = {span.span_id: span.name for span in spans}

    links = {span.name: names.get(span.parent_span_id) for span in spans}

    assert links["client"] is None
    assert links["POST /orders"] == "client"
    assert links["RequestId"] == "POST /orders"
    assert links["orders.feature.place_order"] == "orders.controller.place_order"
    assert all(not span.parent_span_id or span.parent_span_id in names for span in spans)


def test_times_are_of_today_and_children_lie_within_their_parents(order):
    spans = {span.span_id: span for span in parsed(order.otlp())}

    for span in spans.values():
        assert 0 <= time.time_ns() - span.end_time_unix_nano < 60e9
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    for span in spans.values():
        parent = spans.get(span.parent_span_id)
        # The client reads another clock than the server, and has its answer before the server is quite done.
        if parent and parent.name != "client":
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= parent.end_time_unix_nano


def test_sql_and_row_counts_are_told_by_opentelemetrys_names(order):
    queries = [{each.key: each.value for each in span.attributes} for span in parsed(order.otlp()) if span.name == "database.one"]

    assert all(query["db.query.text"].string_value.split()[0] in ("SELECT", "INSERT", "UPDATE") for query in queries)
    assert {query["db.response.returned_rows"].int_value for query in queries} == {0, 1}


def test_no_value_leaves_by_otlp(order):
    told = {value for span in order.otlp()["resourceSpans"][0]["scopeSpans"][0]["spans"]
            for attribute in span["attributes"] for value in attribute["value"].values()}

    line = order.stage("orders.crud.insert_line").came_in
    assert (line["name"], line["price_cents"]) == ("Teapot", 2490)   # the trace itself shows them
    assert not told & {"Teapot", "2490"}


def test_a_literal_in_the_sql_is_a_value_too(order):
    from dataclasses import replace
    odd = replace(order, stages=(replace(order.stage("database.one"), sql="SELECT 1 WHERE name = 'O''Hara' AND x = 'y'"),))

    assert "'" not in odd.otlp()["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][2]["value"]["stringValue"]


def test_an_error_is_marked(shop):
    from webscale.tracing import trace
    spans = parsed(trace(shop, "GET", "/products/999").otlp())

    assert {span.name for span in spans if span.status.code == 2} >= {"catalog.feature.product", "Router"}
