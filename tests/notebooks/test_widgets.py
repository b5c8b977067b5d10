import re
import xml.etree.ElementTree
from dataclasses import replace

import ipywidgets
import pytest

from webscale import widgets
from webscale.tracing import Text


def inside(widget):
    for child in getattr(widget, "children", ()):
        yield child
        yield from inside(child)


def pages(widget):
    stack = next(child for child in inside(widget) if isinstance(child, ipywidgets.Stack))
    return [child.value for child in stack.children]


def page(trip, name):
    place = [step.name for step in trip.steps].index(name)
    return widgets.page(trip, place)


def test_its_parts_are_linked_in_the_browser(trip, monkeypatch):
    linked = []
    monkeypatch.setattr(widgets, "jslink", lambda *ends: linked.append([(type(end).__name__, trait) for end, trait in ends]))

    trip.stepper()

    assert linked == [
        [("Play", "value"), ("IntSlider", "value")],
        [("IntSlider", "value"), ("Stack", "selected_index")],
        [("IntSlider", "value"), ("ToggleButtons", "index")],
    ]


def test_there_is_a_page_and_a_button_for_every_step(trip):
    stepper = trip.stepper()
    buttons = next(child for child in inside(stepper) if isinstance(child, ipywidgets.ToggleButtons))

    assert len(pages(stepper)) == len(trip.steps) == 8
    assert [label for label, _ in buttons.options] == \
        ["client", "Sessions", "Router", "read_product", "product", "find", "← Sessions", "← client"]
    assert list(buttons.tooltips) == [step.name for step in trip.steps]


def test_slider_and_player_end_at_the_last_step(trip):
    ends = {child.max for child in inside(trip.stepper()) if isinstance(child, (ipywidgets.IntSlider, ipywidgets.Play))}

    assert ends == {len(trip.steps) - 1}


def test_in_text_it_is_one_line_that_names_its_steps_and_is_not_cut(trip):
    text = trip.stepper()._repr_mimebundle_()["text/plain"]

    assert text == ("<GET /products/<7> → 200: client → Sessions → Router → catalog.controller.read_product → "
                    "catalog.feature.product → catalog.crud.find → ← Sessions → ← client>")
    assert len(text) > 110


def test_its_text_holds_no_time_and_no_id(trip):
    later = replace(trip, id="cd" * 16, stages=tuple(replace(stage, own_ms=99.0) for stage in trip.stages))

    assert repr(later.stepper()) == repr(trip.stepper())


@pytest.mark.parametrize("markup", ["<b>7</b>", "<i>", "<script>", "/products/<7>"])
def test_what_a_client_may_have_sent_is_escaped(trip, markup):
    everything = "".join(pages(trip.stepper()))

    assert markup not in everything
    assert markup.replace("<", "&lt;").replace(">", "&gt;") in everything


def test_every_page_is_well_formed(trip):
    for html in pages(trip.stepper()):
        xml.etree.ElementTree.fromstring(html)


def test_the_picture_lights_the_stage_and_shows_what_was_passed(trip):
    lit = re.findall(r'fill="(#\w+)" fill-opacity="1.0"', page(trip, "Router"))

    assert lit == [widgets.COLOURS["router"]]
    assert 'fill-opacity="0.38"' in page(trip, "Router")


def test_the_lines_that_ran_are_lit_and_a_gap_is_marked(trip):
    html = page(trip, "Sessions")

    assert re.findall(r'class="ws-ran"><span>(\d+)', html) == ["2"]
    assert re.findall(r'class="ws-idle"><span>(\S+?)<', html) == ["1", "⋯", "9"]


def test_a_middleware_shows_what_it_added_to_the_requests_state(trip):
    assert '<div class="ws-new">session</div>' in page(trip, "Sessions")
    assert '<div>session</div>' in page(trip, "Router")


def test_on_the_way_out_it_shows_what_it_added_to_the_response(trip):
    assert '<div class="ws-new">x-seen</div>' in page(trip, "← Sessions")


def test_the_router_shows_the_routes_that_it_tried_and_lights_the_one_it_took(trip):
    html = page(trip, "Router")

    assert "<div>GET /a</div><div>none</div>" in html
    assert '<div class="ws-new">GET /products/{id}</div><div class="ws-new">full</div>' in html


def test_crud_shows_its_statement(trip):
    assert "<h4>SQL</h4>" in page(trip, "catalog.crud.find")


def test_own_time_and_place_are_told(trip):
    assert "own time <b>10.00 ms</b>" in page(trip, "catalog.crud.find")
    assert "step 6 of 8" in page(trip, "catalog.crud.find")


def test_a_request_that_no_stage_saw_shows_its_bytes(trip):
    unseen = replace(trip, stages=(), note="uvicorn answered by itself.", request_bytes=Text("GET / HTTP/9.9"))

    html = unseen.stepper().children[0].value
    assert "uvicorn answered by itself." in html and "GET / HTTP/9.9" in html
    assert repr(unseen.stepper()) == "<GET /products/<7> → 200: no stages>"


def test_an_application_that_is_no_shop_has_a_picture_too(trip):
    client, sessions, router, *_ = trip.stages
    plain = replace(trip, stages=(client, sessions, replace(router, kind="app", name="hello", tried=())))

    assert ">App</text>" in page(plain, "hello")
    assert ">Catalog</text>" not in page(plain, "hello")
